"""Job arrays: one command in numbered jobs, on this machine's processes, on Slurm or by a user's own wrapper.

>>> run_array("make_feats", ["--conf", "conf/features/mfcc30_16k.conf", "data/train"], 4, Path("data/train/log"))

Where the jobs run is chosen by name: `conf/engines/NAME.yaml`, NAME from the environment variable SV_ENGINE.
"""

from sv.launch.arrays import JobsFailed, run_array, run_jobs
from sv.launch.engines import chosen_engine, load_engine
from sv.launch.jobs import Array, Job

__all__ = ["Array", "Job", "JobsFailed", "chosen_engine", "load_engine", "run_array", "run_jobs"]
