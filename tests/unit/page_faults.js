// What is wrong with the page that is open, as the browser shows it: each function returns a line for every fault.
// Only what is shown is looked at, so what is folded is to be opened first.
const faults = (function () {
  const ROOM = 1;  // pixels that a place may be off by
  const SMALLEST = 9;  // pixels of a font that can be read
  const CONTRAST = 4.5;  // of text against what is behind it [WCAG 2.1, 1.4.3]

  const name = element => element.tagName.toLowerCase()
    + (element.getAttribute('class') ? '.' + element.getAttribute('class').replaceAll(' ', '.') : '');
  const said = node => `${name(node.parentElement)} “${node.data.trim().slice(0, 40)}”`;
  const style = element => getComputedStyle(element);
  const ancestors = element => element ? [element, ...ancestors(element.parentElement)] : [];
  const all = selector => [...document.querySelectorAll(selector)];

  // The text that is shown: [node, element].
  function texts() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
      const node = walker.currentNode, element = node.parentElement;
      if (node.data.trim() && !element.closest('title, script, style') && element.checkVisibility()) {
        found.push([node, element]);
      }
    }
    return found;
  }

  function boxes(node) {
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()].filter(box => box.width && box.height);
  }

  const clips = element => style(element).overflowX !== 'visible' && style(element).overflowX !== 'auto';
  const scrolls = element => style(element).overflowX === 'auto';

  // Of an SVG's text the size on the screen is that of its drawing's units too.
  function fontSize(element) {
    const matrix = element.ownerSVGElement ? element.getScreenCTM() : { a: 1, b: 0 };
    return parseFloat(style(element).fontSize) * Math.hypot(matrix.a, matrix.b);
  }

  function rgba(colour) {
    const found = colour.match(/^rgba?\((.*)\)$/);
    if (!found) throw new Error(`${colour} is not a colour that is understood here`);
    const [r, g, b, a = 1] = found[1].split(/[\s,/]+/).map(Number);
    return [r, g, b, a];
  }
  const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);

  // The relative luminance of a colour [WCAG 2.1].
  function luminance(colour) {
    const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function contrast(element, shown = style(element)) {
    const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    const behind = ancestors(element).reverse().reduce((c, each) => over(rgba(style(each).backgroundColor), c), canvas);
    const [r, g, b, a] = rgba(element.ownerSVGElement ? shown.fill : shown.color);
    const opacity = ancestors(element).reduce((product, each) => product * style(each).opacity, a);
    const [dark, light] = [over([r, g, b, opacity], behind), behind].map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  const crosses = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > ROOM
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > ROOM;

  return {
    // What is wider than the window; a box that scrolls may hold what it likes.
    sideways() {
      const wide = document.documentElement.scrollWidth - innerWidth;
      const beyond = all('body *').filter(each => each.checkVisibility() && !each.ownerSVGElement
        && !ancestors(each.parentElement).some(scrolls)
        && (each.getBoundingClientRect().right > innerWidth + ROOM || each.getBoundingClientRect().left < -ROOM));
      return [...(wide > 0 ? [`the page is ${wide} pixels wider than the window`] : []), ...beyond.map(name)];
    },

    // Text without a size, too small to be read, or outside a box that cuts it.
    unreadable() {
      return texts().flatMap(function ([node, element]) {
        const size = fontSize(element), shown = boxes(node);
        if (!shown.length) return [`${said(node)} has no size`];
        if (size < SMALLEST) return [`${said(node)} is ${size.toFixed(1)} pixels high`];
        const cut = ancestors(element).filter(clips).find(function (each) {
          const box = each.getBoundingClientRect();
          return shown.some(part => part.left < box.left - ROOM || part.right > box.right + ROOM
            || part.top < box.top - ROOM || part.bottom > box.bottom + ROOM);
        });
        return cut ? [`${said(node)} is cut by ${name(cut)}`] : [];
      });
    },

    // Text of a drawing over other text of it.
    overlapping() {
      return all('svg').flatMap(function (drawing) {
        const inside = texts().filter(([, element]) => element.ownerSVGElement === drawing)
          .map(([node]) => [node, boxes(node)[0]]);
        return inside.flatMap(([node, box], i) => inside.slice(0, i)
          .filter(([, other]) => box && other && crosses(box, other))
          .map(([other]) => `${said(node)} is over ${said(other)}`));
      });
    },

    // Text near the colour of what is behind it; that of style sheets too.
    faint() {
      const before = all('body *').map(each => [each, getComputedStyle(each, '::before')])
        .filter(([each, shown]) => each.checkVisibility() && !['none', 'normal', '""'].includes(shown.content))
        .map(([each, shown]) => [`the content before ${name(each)}`, contrast(each, shown)]);
      return [...texts().map(([node, element]) => [said(node), contrast(element)]), ...before]
        .filter(([, found]) => found < CONTRAST)
        .map(([what, found]) => `${what} has a contrast of ${found.toFixed(2)}`);
    },

    // Links that lead nowhere or elsewhere, and names that two elements have.
    links() {
      const ids = all('[id]').map(each => each.id);
      const twice = ids.filter((id, i) => ids.indexOf(id) < i).map(id => `two elements are #${id}`);
      const lost = all('[href]').map(each => each.getAttribute('href'))
        .filter(to => !(to.startsWith('#') && ids.includes(decodeURIComponent(to.slice(1)))));
      return [...twice, ...lost.map(to => `${to} is not on the page`)];
    },

    // Pictures that did not load, or say nothing to those who cannot see them.
    pictures() {
      const broken = all('img').filter(each => !each.complete || !each.naturalWidth);
      const silent = all('img').filter(each => !each.alt.trim());
      const drawn = all('svg').filter(each => each.getAttribute('aria-hidden') !== 'true'
        && !(each.getAttribute('role') === 'img' && each.getAttribute('aria-label')));
      return [...broken.map(each => `${name(each)} did not load`),
        ...[...silent, ...drawn].map(each => `${name(each)} has no text in its place`)];
    },

    // Boxes that have to be scrolled, which paper cannot be.
    scrolling() {
      return all('body *').filter(each => each.checkVisibility() && scrolls(each)
        && each.scrollWidth > each.clientWidth + ROOM)
        .map(each => `${name(each)} is ${each.scrollWidth - each.clientWidth} pixels wider than it shows`);
    },
  };
})();
