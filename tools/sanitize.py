"""Emitted C under the sanitizers of the compiler: every model, and contractions of every layout, at sizes from 1 to 70.

    python tools/sanitize.py [--only NAMES] [--levels all] [--most 70] [--jobs 2]

* memory: the address and the undefined-behaviour sanitizer; results agree with the NumPy module, and one, two and three
  threads give the same bits. Both types at the level of this machine; the levels below it for the contractions, at one of nine
  sizes (`--levels all`: for everything, at all sizes).
* races: the thread sanitizer, one, two and three threads at one of nine sizes. libgomp would be reported itself, since it waits
  in ways that the sanitizer does not see; a parallel region runs on plain threads instead (`openmp_threads.c`), while the barriers
  are the emitted ones.
* warnings: gcc and clang, optimising, have nothing to say about the text for any level.

Before anything else two programs with mistakes show that mistakes are found here. Status 1 where one was found.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from contraction_programs import ROOT, programs

import bracketc as bc
from bracketc.target import BASE_CFLAGS, GENERIC128, X86_LEVELS, Target, host_features, portable_levels, supported_levels

TOOLS = Path(__file__).resolve().parent
COMMON = "-Og -g1 -fno-var-tracking-assignments -fno-omit-frame-pointer -DBRK_WORK=0.0"
"""Every call uses all of its threads, however small. Lines of the text are named, its variables are not."""
FLAGS = {
    "memory": f"{COMMON} -fsanitize=address,undefined -fno-sanitize-recover=all --param=asan-instrumentation-with-call-threshold=0",
    "races": f"{COMMON} -fsanitize=thread",
}
LIBRARIES = {"memory": ("asan", "ubsan"), "races": ("tsan",)}
SPARSE = 9
"""Of so many sizes one is tried under the thread sanitizer, and at lower levels."""

OVERFLOW = "int bad(int n) { int a[4] = {0}; return a[n]; }"
RACE = """\
#include <omp.h>
int bad(int n) {
    int shared = n;
#pragma omp parallel num_threads(2)
    shared += omp_get_thread_num() + 1;
    return shared;
}
"""
MISTAKES = {"memory": OVERFLOW, "races": RACE}


@dataclass(frozen=True, slots=True)
class Job:
    """A program, how its C is built, and which sizes are tried: all up to ``most``, or one of ``every``."""

    kind: str
    name: str
    source: Path
    dtype: str
    level: str
    most: int
    every: int

    def __str__(self) -> str:
        return f"{self.kind}: {self.name}, {self.dtype}, {self.level}"


def environment(kind: str, compiler: str, folder: Path) -> dict[str, str]:
    """Of a process whose C is built with a sanitizer; its library comes before everything else."""
    libraries = []
    for name in LIBRARIES[kind]:
        command = (compiler, f"-print-file-name=lib{name}.so")
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        if not Path(found).is_absolute():
            raise SystemExit(f"{compiler} has no lib{name}: install the sanitizers of gcc")
        libraries.append(found)
    if kind == "races":
        libraries.append(str(folder / "openmp_threads.so"))
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        "TSAN_OPTIONS": "halt_on_error=1",
        "BRACKETC_CC": compiler,
        "BRACKETC_CFLAGS": FLAGS[kind],
        "BRACKETC_CACHE_DIR": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join((str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")]))),
    }


def build(compiler: str, flags: str, source: Path, output: Path) -> None:
    """A shared library of one file."""
    subprocess.run((compiler, *flags.split(), "-fPIC", "-shared", str(source), "-o", str(output)), check=True)


def prove(kind: str, compiler: str, around: Mapping[str, str], folder: Path) -> None:
    """A mistake must end the process, else the silence of the other programs would say nothing."""
    source, library = folder / f"{kind}.c", folder / f"{kind}.so"
    source.write_text(MISTAKES[kind], encoding="utf-8")
    build(compiler, f"{FLAGS[kind]} -fopenmp", source, library)
    call = f"import ctypes; ctypes.CDLL({str(library)!r}).bad(4)"
    done = subprocess.run((sys.executable, "-c", call), env=around, capture_output=True, text=True, check=False)
    if done.returncode == 0 or not any(found in done.stderr for found in ("runtime error", "ThreadSanitizer: data race")):
        raise SystemExit(f"the sanitizer for {kind} does not find a mistake here:\n{done.stderr[-2000:]}")


def jobs(folder: Path, most: int, all_levels: bool) -> Iterator[Job]:
    """Everything that is tried: the contractions first, the lower levels last."""
    general, models = dict[str, Path](), {path.stem: path for path in sorted((ROOT / "models").glob("*.brk"))}
    for name, text in programs():
        general[name] = folder / f"{name}.brk"
        general[name].write_text(text, encoding="utf-8")
    every = general | models
    for name, source in every.items():
        for dtype in ("float32", "float64"):
            yield Job("memory", name, source, dtype, "native", most, 1)
    for name, source in every.items():
        yield Job("races", name, source, "float64", "native", most, SPARSE)
    for name, source in (every if all_levels else general).items():
        for level in supported_levels(host_features(), os.uname().machine)[:-1]:
            for dtype in ("float32", "float64"):
                yield Job("memory", name, source, dtype, level.name, most, 1 if all_levels else SPARSE)


def run(job: Job, around: Mapping[str, str]) -> tuple[Job, str, str]:
    """How many calls there were, and what went wrong."""
    command = (
        sys.executable, str(TOOLS / "sanitized.py"), str(job.source), job.dtype, job.level, str(job.most), str(job.every),
    )  # fmt: skip
    done = subprocess.run(command, env=around, capture_output=True, text=True, check=False)
    return job, done.stdout.strip(), "" if done.returncode == 0 else f"status {done.returncode}\n{done.stderr[-6000:]}"


def warnings(compiler: str, level: Target, folder: Path) -> tuple[str, str]:
    """What a compiler says about all texts for a level: their number, and its words."""
    texts = sorted(path.name for path in folder.glob("*.c"))
    flags = (*BASE_CFLAGS, *level.cflags, "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unknown-pragmas")
    said = ""
    for text in texts:
        command = (compiler, *flags, "-c", text, "-o", os.devnull)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        said += done.stderr if done.returncode else ""
    return f"{len(texts)} texts", said[:6000]


def write_texts(folder: Path) -> None:
    """The C of every model in both types, that of float64 for several threads."""
    for path in sorted((ROOT / "models").glob("*.brk")):
        for dtype, threads in (("float32", 1), ("float64", 3)):
            bc.build(bc.load(path), folder, dtype=dtype, threads=threads, name=f"{path.stem}_{dtype}", compile=False)


def warned(folder: Path, jobs: int, only: str) -> tuple[int, int]:
    """Prints what the compilers that are here say; how many were asked, and how many had something to say."""
    levels = (GENERIC128, *(level for level in X86_LEVELS if level in portable_levels(os.uname().machine)))
    chosen = [(f"warnings: {c}, {level.name}", c, level) for c in ("gcc", "clang") if shutil.which(c) for level in levels]
    chosen = [job for job in chosen if only in job[0]]
    if not chosen:
        return 0, 0
    folder.mkdir()
    write_texts(folder)
    failures = 0
    with ThreadPoolExecutor(jobs) as pool:
        for (name, _, _), (count, said) in zip(chosen, pool.map(lambda job: warnings(job[1], job[2], folder), chosen), strict=True):
            print(f"{name}: {said or f'none in {count}'}", flush=True)
            failures += bool(said)
    return len(chosen), failures


def main() -> int:
    parser = argparse.ArgumentParser(description="emitted C under the sanitizers")
    parser.add_argument("--only", default="", metavar="TEXT", help="jobs with this in their name, such as 'races: gru'")
    parser.add_argument("--levels", choices=("some", "all"), default="some", help="all: every program at every level")
    parser.add_argument("--most", type=int, default=70, help="the largest size; one more should be a prime (default: 70)")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    arguments = parser.parse_args()
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SystemExit("no gcc here: its sanitizers come as libraries that can be loaded before Python")
    start, failures = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(compiler, FLAGS["races"], TOOLS / "openmp_threads.c", folder / "openmp_threads.so")
        around = {kind: environment(kind, compiler, folder) for kind in FLAGS}
        for kind in FLAGS:
            prove(kind, compiler, around[kind], folder)
        chosen = [job for job in jobs(folder, arguments.most, arguments.levels == "all") if arguments.only in str(job)]
        calls = 0
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for job, said, wrong in pool.map(lambda job: run(job, around[job.kind]), chosen):
                print(f"{job}: {wrong or said}", flush=True)
                failures += bool(wrong)
                calls += 0 if wrong else int(said.split()[0])
        asked, spoke = warned(folder / "texts", arguments.jobs, arguments.only)
        failures += spoke
    if not chosen and not asked:
        parser.error(f"nothing has {arguments.only!r} in its name")
    minutes = (time.monotonic() - start) / 60
    print(f"{len(chosen)} programs, {calls} calls, {failures} with mistakes, {minutes:.1f} minutes")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
