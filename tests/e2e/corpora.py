"""Places in the tiny corpus that tests break."""


def first_wav(tree, part="dev"):
    """The first recording of a part of a corpus in VoxCeleb1's layout."""
    return sorted((tree / part / "wav").glob("*/*/*.wav"))[0]
