#!/usr/bin/env python3
"""Compiles every kernel.cu of src/ with NVRTC for compute_80 and compute_90, as the program does at first use.

No GPU is needed: NVRTC is a library. Arguments: the folder of the sources, and libnvrtc if it is not on the usual paths.
    python compile.py [--root DIR] [--nvrtc FILE]
`nvrtc.sh` beside this file fetches NVRTC and calls it. Exits 1 when anything does not compile, or warns.
"""
import argparse
import ctypes
import glob
import os
import re
import subprocess
import sys
import tempfile

ARCHITECTURES = ("compute_80", "compute_90")

def find_nvrtc():
    for folder in sys.path:
        found = sorted(glob.glob(os.path.join(folder, "nvidia", "**", "libnvrtc.so.*"), recursive=True))
        if found:
            return found[0]
    return "libnvrtc.so"


def compile_one(nvrtc, name, source, arch):
    """The PTX, and what NVRTC has to say."""
    program = ctypes.c_void_p()
    status = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    if status:
        return None, f"nvrtcCreateProgram: {status}"
    options = [f"--gpu-architecture={arch}".encode(), b"--std=c++17"]
    status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(max(size.value, 1))
    nvrtc.nvrtcGetProgramLog(program, log)
    ptx = None
    if not status:
        nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetPTX(program, buffer)
        ptx = buffer.value.decode()
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx, log.value.decode().strip()


def assemble(ptxas, ptx, arch):
    """To machine code, with what each kernel takes; 1 if that fails or more than a few registers spill."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kernel.ptx")
        with open(path, "w") as file:
            file.write(ptx)
        command = [ptxas, "-v", f"-arch={arch.replace('compute', 'sm')}", path, "-o", os.path.join(folder, "kernel.cubin")]
        done = subprocess.run(command, capture_output=True, text=True)
    spilled = [int(n) for n in re.findall(r"(\d+) bytes spill", done.stderr) if int(n) > 64]
    for name, used in re.findall(r"Compiling entry function '(\w+)'.*?Used (\d+ registers.*?)\n", done.stderr, re.S):
        print(f"    {name}: {used}")
    if done.returncode or spilled:
        print(f"FAILED in ptxas (spills: {spilled}):", done.stderr[-2000:], sep="\n")
    return int(bool(done.returncode or spilled))


def kernels(source):
    """The names that the text defines, macros expanded by hand: NAME_##X with each use of the macro."""
    source = re.sub(r"__launch_bounds__\([^)]*\) ", "", source)
    found = {name for name in re.findall(r'extern "C" __global__ void (\w+)\(', source)}
    for macro, body in re.findall(r"#define (\w+)\([^)]*\)((?:.*\\\n)+.*\n)", source):
        stems = re.findall(r"void (\w+)##\w+\(", body)
        for use in re.findall(rf"^{macro}\((\w+)", source, re.M):
            found |= {stem + use for stem in stems}
    return found


def headers(path):
    """The headers that stand between common.cuh and a file of kernels, as a file of Rust beside it names them."""
    here = os.path.dirname(path)
    for name in sorted(glob.glob(os.path.join(here, "*.rs"))):
        with open(name) as file:
            text = file.read()
        source = re.search(r'source!\("\w+", "[^"]+"((?:,\s*"[^"]+")*)', text)
        if source or 'include_str!("kernel.cu")' in text:
            found = re.findall(r'"([^"]+)"', source.group(1)) if source else re.findall(r'include_str!\("(.+\.cuh)"\)', text)
            return "".join(open(os.path.join(here, header)).read() for header in found if "common.cuh" not in header)
    raise AssertionError(f"nothing beside {path} includes it")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=os.path.join(here, "../../.."))
    parser.add_argument("--nvrtc", default=None)
    parser.add_argument("--ptxas", default=None, help="assemble, too, and print registers and shared memory")
    args = parser.parse_args()
    library = args.nvrtc or find_nvrtc()
    for builtins in glob.glob(os.path.join(os.path.dirname(library) or ".", "libnvrtc-builtins.so*")):
        ctypes.CDLL(builtins)  # NVRTC looks for it by name, and the wheel's folder is on no path
    nvrtc = ctypes.CDLL(library)
    major, minor = ctypes.c_int(), ctypes.c_int()
    nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    source_folder = os.path.join(args.root, "src/nn")
    with open(os.path.join(source_folder, "cuda/common.cuh")) as file:
        common = file.read()
    files = sorted(glob.glob(os.path.join(source_folder, "**/kernel.cu"), recursive=True))
    assert len(files) >= 13, f"only {len(files)} kernels found: is the walk broken?"
    failures = count = 0
    for path in files:
        text = headers(path)
        with open(path) as file:
            text += file.read()
        name = os.path.relpath(path, args.root)
        wanted = kernels(text)
        assert wanted, f"{name} defines no kernel"
        for arch in ARCHITECTURES:
            ptx, log = compile_one(nvrtc, name, common + text, arch)
            entries = set(re.findall(r"\.entry (\w+)", ptx or ""))
            problems = [log] if log else []
            if ptx and not wanted <= entries:
                problems.append(f"missing: {sorted(wanted - entries)}")
            if problems:
                failures += 1
                print(f"FAILED {name} for {arch}:", *problems, sep="\n")
            count += len(entries)
            print(f"{name} {arch}: {len(entries)} kernels, {len(ptx or '')} bytes of PTX")
            if ptx and args.ptxas:
                failures += assemble(args.ptxas, ptx, arch)
    print(f"NVRTC {major.value}.{minor.value}: {count} kernels of {len(files)} files, {failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
