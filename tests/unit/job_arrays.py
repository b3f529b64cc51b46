"""Arrays of shell commands for the tests of the launcher."""

from sv.launch import Array, Job


def shell_array(folder, *scripts, command="jobs"):
    """Jobs 1..N, each a line of shell that runs in `folder`; their logs are FOLDER/log/JOB.log."""
    jobs = [
        Job(number, ("/bin/sh", "-c", f"cd '{folder}'; {script}"), folder / "log" / f"{number}.log")
        for number, script in enumerate(scripts, 1)
    ]
    return Array(command, tuple(jobs), folder / "log")
