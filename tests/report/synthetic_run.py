"""A run folder with everything a recipe leaves behind, made of plain formulas."""

import gzip
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np

from flare.evaluation.summary import write_comparison, write_summary

ACTIONS = (
    "move_ahead", "rotate_right", "rotate_left", "move_back", "done",
    "rotate_left_small", "rotate_right_small",
)  # fmt: skip
TARGETS = ("Bed", "HousePlant", "Sofa", "Television", "Toilet")


def make_run(folder: Path, *, episodes: int = 60, stages=("before", "after"), videos: int = 3):
    """Write a run folder; with stages=("before",) one that was not fine-tuned."""
    folder.mkdir(parents=True)
    (folder / "eval").mkdir()
    write_json(folder / "config.json", {"seed": 1, "finetune_steps": 200_000, "name": "<b>&"})
    write_json(folder / "manifest.json", manifest())
    write_houses(folder / "houses" / "val.jsonl.gz", count=6)
    write_metrics(folder / "metrics.jsonl", finetuned="after" in stages)
    for stage in stages:
        records = [evaluation_record(stage, i) for i in range(episodes)]
        write_lines(folder / "eval" / f"{stage}.jsonl", records)
        write_summary(folder, stage, expected=episodes)
    if len(stages) == 2:
        write_comparison(folder)
    for i in range(videos):
        write_video(folder / "videos" / f"after_{i}.npz", i)
    return folder


def evaluation_record(stage: str, i: int) -> dict:
    rng = np.random.default_rng([i, stage == "after"])
    house = i % 6
    success = bool(rng.random() < (0.4 if stage == "before" else 0.72))
    trajectory = walk(i, direct=success, rng=rng)
    steps = np.diff(np.asarray(trajectory)[:, :2], axis=0)
    travelled = float(np.hypot(steps[:, 0], steps[:, 1]).sum())
    end = "done" if success or i % 3 else "limit"
    return {
        "split": "val", "stage": stage, "episode": i, "house": house,
        "house_source": f"val.jsonl.gz line {house + 1}", "room_count": 2 + house % 2,
        "target_type": TARGETS[i % 5], "instruction": f"find a {TARGETS[i % 5].lower()}",
        "success": success, "length": len(trajectory) - 1,
        "expert_length": 20 + i % 30 if i % 17 else -1, "shortest_path": 1.5 + 0.17 * (i % 50),
        "travelled": travelled, "return": 10.0 * success, "end": end,
        "collisions": int(rng.integers(0, 6)), "start": list(trajectory[0]),
        "trajectory": trajectory, "first_seen": 12 if i % 4 else None,
        "actions": [0] * (len(trajectory) - 1),
    }  # fmt: skip


def walk(i: int, *, direct: bool, rng) -> list[list[float]]:
    """From the bedroom through the door at (4, 2); wanderers turn back a few times."""
    points = [(1.0, 1.0 + 0.2 * (i % 8)), (3.4, 2.0), (4.8, 2.0)]
    goals = [(5.0, 4.6), (6.6, 1.0)]
    points += [goals[i % 2]] if direct else [(6.5, 3.2), (4.8, 2.0), (2.0, 3.4), (1.2, 1.0)]
    poses = []
    for (x0, z0), (x1, z1) in pairwise(points):
        yaw = math.degrees(math.atan2(x1 - x0, z1 - z0)) % 360
        count = max(1, round(math.hypot(x1 - x0, z1 - z0) / 0.2))
        for k in range(count):
            jitter = rng.normal(0, 0.03, 2) if poses else (0.0, 0.0)
            x, z = x0 + (x1 - x0) * k / count, z0 + (z1 - z0) * k / count
            poses.append([round(x + jitter[0], 3), round(z + jitter[1], 3), round(yaw, 1)])
    return poses


def house(index: int) -> dict:
    """Two rooms side by side with a door in between; odd houses have a bathroom above."""
    rooms = [("Bedroom", 0, 0, 4, 4), ("LivingRoom", 4, 0, 8, 5.5)]
    if index % 2:
        rooms.append(("Bathroom", 0, 4, 4, 5.5))
    walls, content = [], []
    for number, (kind, x0, z0, x1, z1) in enumerate(rooms):
        corners = [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]
        content.append({
            "id": f"room|{number}", "roomType": kind, "children": [],
            "floorPolygon": [{"x": x, "y": 0, "z": z} for x, z in corners],
        })  # fmt: skip
        for (ax, az), (bx, bz) in zip(corners, [*corners[1:], corners[0]], strict=True):
            walls.append({
                "id": f"wall|{number}|{ax}|{az}|{bx}|{bz}", "roomId": f"room|{number}",
                "polygon": [
                    {"x": ax, "y": 0, "z": az}, {"x": bx, "y": 0, "z": bz},
                    {"x": ax, "y": 2.5, "z": az}, {"x": bx, "y": 2.5, "z": bz},
                ],
            })  # fmt: skip
    door = {
        "id": "door|0|1", "room0": "room|0", "room1": "room|1", "wall0": "wall|0|4|4|4|0",
        "wall1": "wall|1|4|0|4|5.5", "holePolygon": [{"x": 1.5, "y": 0}, {"x": 2.5, "y": 2.1}],
    }  # fmt: skip
    window = {
        "id": "window|1|0", "room0": "room|1", "room1": "room|1", "wall0": "wall|1|8|5.5|8|0",
        "holePolygon": [{"x": 2.0, "y": 1}, {"x": 3.5, "y": 2}],
    }  # fmt: skip
    places = {
        "Bed": (0.9, 3.0), "HousePlant": (7.5, 5.0), "Sofa": (5.2, 5.0), "Television": (7.4, 0.6),
        "Toilet": (3.4, 3.5), "DiningTable": (6.2, 2.6), "Chair": (5.6, 3.3), "Dresser": (3.5, 0.4),
    }  # fmt: skip
    objects = [
        {"id": f"{kind}|0|{i}", "position": {"x": x, "y": 0.5, "z": z}, "children": []}
        for i, (kind, (x, z)) in enumerate(places.items())
    ]
    return {"rooms": content, "walls": walls, "doors": [door], "windows": [window],
            "objects": objects, "metadata": {"schema": "1.0.0"}}  # fmt: skip


def write_metrics(path: Path, *, finetuned: bool) -> None:
    rng = np.random.default_rng(0)
    records = [
        {"stage": "pretrain", "iteration": e, "step": e, "loss": 1.4 * 0.8**e + 0.3,
         "accuracy": 0.8 - 0.4 * 0.7**e}
        for e in range(1, 11)
    ]  # fmt: skip
    for i in range(1, 121 if finetuned else 1):
        p = i / 120
        noise = rng.normal(0, 1, 6)
        records.append({
            "stage": "finetune", "iteration": i, "step": 4096 * i, "episodes": 50 * i,
            "success_rate":
            0.4 + 0.3 * (1 - math.exp(-3 * p)) + 0.02 * noise[0] if i > 2 else None,
            "return": 4 + 3 * p + 0.2 * noise[1], "entropy": 1.2 - 0.5 * p + 0.02 * noise[2],
            "approx_kl": 0.008 + 0.001 * noise[3],
            "value_loss": 6 * math.exp(-2 * p) + 0.2 * abs(noise[4]),
            "explained_variance": 0.7 * (1 - math.exp(-5 * p)) + 0.03 * noise[5],
            "kl_to_anchor": 0.2 * p, "grad_norm": 0.8 + 0.05 * noise[0],
            "critic_warmup": float(i < 10),
            "time": {"sps": 1700 + 60 * noise[1], "seconds": 2.4,
                     "split": {"simulate": 0.24, "infer": 0.31, "update": 0.45}},
        })  # fmt: skip
    write_lines(path, records)


def write_video(path: Path, seed: int, steps: int = 24) -> None:
    path.parent.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    shade = np.linspace(40, 220, 84)[None, :, None] * np.array([1.0, 0.9, 0.8 - 0.2 * seed])
    frames = np.stack(
        [np.roll(np.broadcast_to(shade, (48, 84, 3)), 3 * t, 1) for t in range(steps)]
    )
    probs = rng.dirichlet(np.full(len(ACTIONS), 0.6), steps).astype(np.float32)
    np.savez_compressed(
        path, frames=np.clip(frames, 0, 255).astype(np.uint8), actions=probs.argmax(1),
        values=np.linspace(1, 8, steps, dtype=np.float32), action_probs=probs,
        instruction=f"find a {TARGETS[seed % 5].lower()}", success=seed % 2 == 0,
        action_names=np.array(ACTIONS),
    )  # fmt: skip


def manifest() -> dict:
    return {
        "recipe": "demo", "seed": 1, "time": "2026-01-01T10:00:00+0000",
        "git": {"commit": "0123456789abcdef0123", "changed": False},
        "versions": {"python": "3.11.4", "flare": "0.1.0", "torch": "2.13.0"},
        "machine": {"cpu": "A Processor", "cores": 2, "memory_bytes": 8 << 30, "os": "Linux"},
        "inputs": {},
    }  # fmt: skip


def write_houses(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt") as file:
        for index in range(count):
            file.write(json.dumps(house(index)) + "\n")


def write_lines(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2))
