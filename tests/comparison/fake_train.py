"""Stands in for `riskpo train`: writes what a run writes, takes its time, saves and stops on SIGTERM, can be killed.

Imports nothing heavy. What it "learns" depends on its options and its step alone, as a real run's does.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import zlib
from pathlib import Path

SAVE_EVERY, QUESTIONS, SAMPLES = 2, 20, 8
asked = []


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(values))
    os.replace(scratch, path)


def options_of(argv):
    return {argv[i].removeprefix("--"): argv[i + 1] for i in range(len(argv) - 1) if argv[i].startswith("--")}


def draw(options, *what):
    """A generator that depends on the options that matter and on nothing else."""
    named = [options.get(name) for name in ("preset", "estimator", "seed", "learning_rate", "eval_split")]
    return random.Random(zlib.crc32(repr([named, what]).encode()))


def begin(argv):
    options = options_of(argv)
    if "resume" in options:
        folder = Path(options["resume"])
        saved = sorted(
            int(path.name[11:]) for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()
        )
        options = json.loads((folder / "config.yaml").read_text())  # JSON is YAML
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= saved[-1]]
        (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in kept))
        return folder, options, saved[-1]
    folder = Path(options.pop("output_dir"))
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} exists already")
    write(folder / "config.yaml", options)
    generations = {"steps_per_generation": 2, "num_iterations": 1, "gradient_accumulation_steps": 1}
    write(
        folder / "arguments.json",
        {"logging_steps": 1, "learning_rate": float(options.get("learning_rate", 6e-4)), **generations},
    )
    packages = {"torch": "1", "transformers": "1", "trl": "1"}
    write(folder / "environment.json", {"riskpo": "0", "commit": "c", "packages": packages, "started": "now"})
    write(folder / "data.json", {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES")})
    write(folder / "eval" / "before.json", evaluation(options, "before", 0.2))
    return folder, options, 0


def evaluation(options, stage, chance):
    rng = draw(options, stage)
    correct = [sum(rng.random() < chance for _ in range(SAMPLES)) for _ in range(QUESTIONS)]
    return {"correct": correct, "samples": SAMPLES, "entropy": rng.random(), "unscorable": 0.0}


def save(folder, step):
    write(folder / f"checkpoint-{step}" / "trainer_state.json", {"global_step": step})
    for path in folder.glob("checkpoint-*"):
        if path.name != f"checkpoint-{step}":
            shutil.rmtree(path)


def main(argv):
    folder, options, step = begin(argv)
    if os.environ.get("FAKE_FAIL", "no such cell") in str(folder):
        sys.exit("no luck\nthe last line")
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    while step < int(options["max_steps"]):
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
        step += 1
        with (folder / "metrics.jsonl").open("a") as file:
            rng = draw(options, step)
            file.write(json.dumps({"step": step, "reward": rng.random(), "entropy": rng.random()}) + "\n")
        if step % SAVE_EVERY:
            continue  # in the middle of a generation
        save(folder, step)
        if asked:
            sys.exit(130)
    chance = 0.3 + 0.4 * draw(options, "chance").random()
    write(folder / "eval" / "after.json", evaluation(options, "after", chance))
    write(folder / "summary.json", {"wall_seconds": 60.0})


if __name__ == "__main__":
    main(sys.argv[1:])
