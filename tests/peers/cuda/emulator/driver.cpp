// A CUDA driver, NVRTC, cuBLAS and cuRAND without a GPU: enough of each for this project's tests to run their GPU paths on
// a CPU, launches and all. It shows whether kernels and the code around them compute what they should; it says nothing
// about speed, and nothing about the memory model of a real GPU: fibers run one at a time, so a race can hide.
//
// "PTX" is the source itself; loading a module compiles it with g++ against shim.h. A kernel's threads are fibers; a
// barrier that not all reach ends the program. Fresh memory is filled with NaN, and writes behind the end of an
// allocation are noticed when it is freed. See emulate.sh.
#include <dlfcn.h>
#include <setjmp.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "shim.h"

using std::string;

static std::recursive_mutex one_at_a_time;
#define ALONE std::lock_guard<std::recursive_mutex> alone(one_at_a_time)
#define EXPORT extern "C" __attribute__((visibility("default")))

[[noreturn]] static void fail(const string &what) {
    fprintf(stderr, "CUDA emulator: %s\n", what.c_str());
    abort();
}

// ---- fibers -------------------------------------------------------------------------------------------------------

enum State { READY, AT_BLOCK, AT_WARP, DONE };
static const size_t STACK = 128 << 10;

// A context begins a fiber, once; jumps go on from there, without asking the system.
struct Fiber {
    ucontext_t context;
    jmp_buf where;
    bool begun = false;
    std::vector<char> stack = std::vector<char>(STACK);
    State state = DONE;
    int shuffles = 0;
    uint64_t given[2];
};

static std::vector<Fiber *> fibers;
static jmp_buf scheduler;
static unsigned running;
static Emulator here;
static void (*entry)(void **);
static void **arguments;
static int votes, verdict;

static void stop_at(State state) {
    Fiber &me = *fibers[running];
    me.state = state;
    if (!_setjmp(me.where)) _longjmp(scheduler, 1);
}

static void body() {
    for (;;) {
        entry(arguments);
        stop_at(DONE);
    }
}

static void __attribute__((noinline)) go_on(Fiber &f) {
    if (_setjmp(scheduler)) return;
    if (f.begun) _longjmp(f.where, 1);
    f.begun = true;
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.data();
    f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, body, 0);
    setcontext(&f.context);
}

static void wait_block() { stop_at(AT_BLOCK); }
static void wait_warp() { stop_at(AT_WARP); }

static int any(int x) {
    votes |= x != 0;
    wait_block();
    return verdict;
}

static uint64_t from_lane(uint64_t value, unsigned lane) {
    unsigned me = running;
    int turn = fibers[me]->shuffles++ % 2; // nobody is more than one shuffle ahead
    fibers[me]->given[turn] = value;
    wait_warp();
    return fibers[me / 32 * 32 + lane]->given[turn];
}

static bool release(unsigned begin, unsigned end, State state) {
    unsigned waiting = 0, others = 0;
    for (unsigned i = begin; i < end; i++) {
        waiting += fibers[i]->state == state;
        others += fibers[i]->state != state && fibers[i]->state != DONE;
    }
    if (!waiting || others) return false;
    for (unsigned i = begin; i < end; i++)
        if (fibers[i]->state == state) fibers[i]->state = READY;
    return true;
}

static void run_block(unsigned count) {
    while (fibers.size() < count) fibers.push_back(new Fiber);
    for (unsigned i = 0; i < count; i++) {
        Fiber &f = *fibers[i];
        f.state = READY;
        f.shuffles = 0;
    }
    for (votes = 0;;) {
        bool alive = false;
        for (running = 0; running < count; running++) {
            if (fibers[running]->state != READY) continue;
            here.thread = {running, 0, 0};
            go_on(*fibers[running]);
        }
        for (unsigned i = 0; i < count; i++) alive |= fibers[i]->state != DONE;
        if (!alive) return;
        bool moved = false;
        for (unsigned i = 0; i < count; i += 32) moved |= release(i, std::min(i + 32, count), AT_WARP);
        if (!moved) {
            verdict = votes;
            moved = release(0, count, AT_BLOCK);
            if (moved) votes = 0;
        }
        if (!moved) fail("threads wait at different barriers");
    }
}

// ---- modules ------------------------------------------------------------------------------------------------------

struct Kernel {
    void (*call)(void **);
    void **(*keep)(void **); // a copy of its arguments
};

static string folder() {
    const char *named = getenv("ETUDE_CUDA_EMULATOR");
    if (!named) fail("ETUDE_CUDA_EMULATOR does not name the folder of shim.h");
    return named;
}

static string read(const string &path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

static std::set<string> kernels_of(const string &text) {
    std::set<string> names;
    for (size_t at = 0; (at = text.find("__global__", at)) != string::npos;) {
        at += strlen("__global__");
        size_t end = text.find('{', at), bounds = text.find("__launch_bounds__", at);
        if (bounds < end) at = text.find(')', bounds) + 1;
        size_t returns = text.find("void", at), open = text.find('(', at);
        if (returns < open) at = returns + 4;
        string name = text.substr(at, open - at);
        name.erase(0, name.find_first_not_of(" \n\t"));
        name.erase(name.find_last_not_of(" \n\t") + 1);
        names.insert(name);
    }
    return names;
}

static void *compiled(const string &source) {
    char work[] = "/tmp/etude-emulator-XXXXXX";
    if (!mkdtemp(work)) fail("no folder for compiling");
    string base = string(work) + "/kernel";
    std::ofstream(base + ".cu") << source;
    auto shell = [](const string &command) {
        if (system(command.c_str())) fail("this failed: " + command);
    };
    shell("g++ -E -P -DEMULATED -x c++ " + base + ".cu -o " + base + ".ii");
    string text = read(base + ".ii");
    std::ofstream out(base + ".cpp");
    out << "#include \"" << folder() << "/shim.h\"\n" << text;
    for (const string &name : kernels_of(text))
        out << "\nextern \"C\" void call_" << name << "(void **given) { call(" << name << ", given); }"
            << "\nextern \"C\" void **keep_" << name << "(void **given) { return keep(" << name << ", given); }";
    out.close();
    shell("g++ -std=c++17 -O2 -ffp-contract=off -fno-strict-aliasing -w -shared -fPIC " + base + ".cpp -o " + base + ".so");
    void *library = dlopen((base + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(dlerror());
    ((void (*)(Emulator *))dlsym(library, "bind"))(&here);
    shell("rm -r " + string(work));
    return library;
}

static int load(void **module, const char *image) {
    ALONE;
    static std::map<string, void *> known;
    string source = image;
    // candle's own kernels come as real PTX: the few that are needed stand in candle.cu.
    if (source.find(".version") != string::npos) source = read(folder() + "/candle.cu");
    if (!known.count(source)) known[source] = compiled(source);
    *module = known[source];
    return 0;
}

EXPORT int cuModuleLoadData(void **module, const void *image) { return load(module, (const char *)image); }
EXPORT int cuModuleLoadDataEx(void **module, const void *image, unsigned, void *, void *) { return load(module, (const char *)image); }
EXPORT int cuModuleUnload(void *) { return 0; }
EXPORT int cuModuleGetFunction(void **function, void *module, const char *name) {
    static std::map<std::pair<void *, string>, Kernel> known;
    Kernel &kernel = known[{module, name}];
    kernel.call = (void (*)(void **))dlsym(module, (string("call_") + name).c_str());
    kernel.keep = (void **(*)(void **))dlsym(module, (string("keep_") + name).c_str());
    *function = &kernel;
    if (!kernel.call) fprintf(stderr, "CUDA emulator: there is no kernel %s\n", name);
    return kernel.call ? 0 : 500;
}

// ---- launches, and graphs of them ---------------------------------------------------------------------------------

struct Launch {
    Kernel *kernel;
    Dim3 blocks;
    unsigned threads;
    void **arguments;
};
typedef std::vector<Launch> Graph;
static Graph *captures; // what is recorded now

static void run(const Launch &launch) {
    here.wait_block = wait_block;
    here.wait_warp = wait_warp;
    here.any = any;
    here.from_lane = from_lane;
    here.threads = {launch.threads, 1, 1};
    here.blocks = launch.blocks;
    entry = launch.kernel->call;
    arguments = launch.arguments;
    for (unsigned y = 0; y < launch.blocks.y; y++)
        for (unsigned x = 0; x < launch.blocks.x; x++) {
            here.block = {x, y, 0};
            run_block(launch.threads);
        }
}

EXPORT int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                          void *, void **given, void **) {
    ALONE;
    if (!gx || !gy || !gz || !bx || by != 1 || bz != 1 || gz != 1 || bx > 1024) return 1;
    Launch launch = {(Kernel *)function, {gx, gy, 1}, bx, given};
    if (!captures) return run(launch), 0;
    launch.arguments = launch.kernel->keep(given);
    captures->push_back(launch);
    return 0;
}
// The attributes ask for speed only.
struct LaunchConfig {
    unsigned gx, gy, gz, bx, by, bz, shared;
    void *stream, *attributes;
    unsigned count;
};
EXPORT int cuLaunchKernelEx(const LaunchConfig *c, void *function, void **given, void **) {
    return cuLaunchKernel(function, c->gx, c->gy, c->gz, c->bx, c->by, c->bz, c->shared, c->stream, given, nullptr);
}
EXPORT int cuStreamBeginCapture_v2(void *, int) {
    ALONE;
    if (getenv("ETUDE_CUDA_EMULATOR_NO_GRAPHS")) return 801;
    captures = new Graph;
    return 0;
}
EXPORT int cuStreamEndCapture(void *, void **graph) {
    ALONE;
    *graph = captures;
    captures = nullptr;
    return 0;
}
EXPORT int cuGraphInstantiateWithFlags(void **made, void *graph, unsigned long long) { return *made = graph, 0; }
EXPORT int cuGraphLaunch(void *graph, void *) {
    ALONE;
    for (const Launch &launch : *(Graph *)graph) run(launch);
    return 0;
}
EXPORT int cuGraphDestroy(void *) { return 0; }
EXPORT int cuGraphExecDestroy(void *) { return 0; }

// ---- memory -------------------------------------------------------------------------------------------------------

static std::map<uint64_t, size_t> allocated;
static const size_t GUARD = 64;

EXPORT int cuMemAlloc_v2(uint64_t *at, size_t bytes) {
    ALONE;
    if (!bytes || captures) return 1;
    char *memory = (char *)malloc(bytes + GUARD);
    memset(memory, 0xff, bytes); // NaN for floats
    memset(memory + bytes, 0xa5, GUARD);
    *at = (uint64_t)memory;
    allocated[*at] = bytes;
    return 0;
}
EXPORT int cuMemFree_v2(uint64_t at) {
    ALONE;
    if (!allocated.count(at)) fail("memory freed that was not allocated");
    for (size_t i = 0; i < GUARD; i++)
        if (((unsigned char *)at)[allocated[at] + i] != 0xa5) fail("a write behind the end of an allocation");
    allocated.erase(at);
    free((void *)at);
    return 0;
}
EXPORT int cuMemAllocAsync(uint64_t *at, size_t bytes, void *) { return cuMemAlloc_v2(at, bytes); }
EXPORT int cuMemFreeAsync(uint64_t at, void *) { return cuMemFree_v2(at); }
EXPORT int cuMemsetD8_v2(uint64_t at, unsigned char value, size_t n) { return memset((void *)at, value, n), 0; }
EXPORT int cuMemsetD8Async(uint64_t at, unsigned char value, size_t n, void *) { return memset((void *)at, value, n), 0; }
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *) { return memcpy((void *)to, from, n), 0; }
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *) { return memcpy(to, (void *)from, n), 0; }
EXPORT int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t n, void *) { return memmove((void *)to, (void *)from, n), 0; }
EXPORT int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t n) { return memcpy((void *)to, from, n), 0; }
EXPORT int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t n) { return memcpy(to, (void *)from, n), 0; }
EXPORT int cuMemGetInfo_v2(size_t *left, size_t *all) { return *left = *all = 8ull << 30, 0; }

// ---- the rest of the driver ---------------------------------------------------------------------------------------

static char thing; // stands for every context, stream, event and handle
EXPORT int cuInit(unsigned) { return 0; }
EXPORT int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
EXPORT int cuDeviceGetCount(int *count) { return *count = 1, 0; }
EXPORT int cuDeviceGet(int *device, int number) { return *device = number, number ? 101 : 0; }
EXPORT int cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "emulator"), 0; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    // 16 counts multiprocessors, 75 and 76 are the compute capability, 115 says whether there are memory pools.
    *value = attribute == 16 ? 2 : attribute == 75 ? 8 : attribute == 115 ? 1 : 0;
    return 0;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = 8ull << 30, 0; }
EXPORT int cuDeviceGetDefaultMemPool(void **pool, int) { return *pool = &thing, 0; }
EXPORT int cuMemPoolSetAttribute(void *, int, void *) { return 0; }
EXPORT int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &thing, 0; }
EXPORT int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
EXPORT int cuCtxGetCurrent(void **context) { return *context = &thing, 0; }
EXPORT int cuCtxSetCurrent(void *) { return 0; }
EXPORT int cuCtxSynchronize() { return 0; }
EXPORT int cuStreamCreate(void **stream, unsigned) { return *stream = &thing, 0; }
EXPORT int cuStreamDestroy_v2(void *) { return 0; }
EXPORT int cuStreamSynchronize(void *) { return 0; }
EXPORT int cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
EXPORT int cuStreamIsCapturing(void *, int *status) { return *status = 0, 0; }
EXPORT int cuEventCreate(void **event, unsigned) { return *event = &thing, 0; }
EXPORT int cuEventRecord(void *, void *) { return 0; }
EXPORT int cuEventDestroy_v2(void *) { return 0; }
EXPORT int cuGetErrorName(int, const char **name) { return *name = "CUDA_ERROR", 0; }
EXPORT int cuGetErrorString(int, const char **text) { return *text = "an error of the emulator", 0; }

// ---- NVRTC: the source is the PTX ---------------------------------------------------------------------------------

EXPORT int nvrtcVersion(int *major, int *minor) { return *major = 99, *minor = 0, 0; }
EXPORT int nvrtcCreateProgram(string **program, const char *source, const char *, int, void *, void *) {
    return *program = new string(source), 0;
}
EXPORT int nvrtcCompileProgram(string *, int, void *) { return 0; }
EXPORT int nvrtcGetPTXSize(string *program, size_t *size) { return *size = program->size() + 1, 0; }
EXPORT int nvrtcGetPTX(string *program, char *ptx) { return memcpy(ptx, program->c_str(), program->size() + 1), 0; }
EXPORT int nvrtcGetProgramLogSize(string *, size_t *size) { return *size = 1, 0; }
EXPORT int nvrtcGetProgramLog(string *, char *log) { return *log = 0, 0; }
EXPORT int nvrtcDestroyProgram(string **program) { return delete *program, 0; }

// ---- cuBLAS and cuRAND --------------------------------------------------------------------------------------------

enum { FULL = 0, BFLOAT = 14 };

static double element(const void *matrix, int type, size_t at) {
    if (type == FULL) return ((const float *)matrix)[at];
    return __uint_as_float((unsigned)((const uint16_t *)matrix)[at] << 16);
}

EXPORT int cublasCreate_v2(void **handle) { return *handle = &thing, 0; }
EXPORT int cublasDestroy_v2(void *) { return 0; }
EXPORT int cublasSetStream_v2(void *, void *) { return 0; }
EXPORT int cublasGemmStridedBatchedEx(void *, int a_turned, int b_turned, int m, int n, int k, const void *alpha, const void *a,
                                      int a_type, int a_row, long long a_step, const void *b, int b_type, int b_row,
                                      long long b_step, const void *beta, void *c, int c_type, int c_row, long long c_step,
                                      int count, int, int) {
    ALONE;
    if (c_type != FULL || a_type != b_type || a_row < (a_turned ? k : m) || b_row < (b_turned ? n : k) || c_row < m) return 7;
    for (int batch = 0; batch < count; batch++)
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                double sum = 0;
                for (int l = 0; l < k; l++)
                    sum += element(a, a_type, batch * a_step + (a_turned ? (size_t)i * a_row + l : (size_t)l * a_row + i)) *
                           element(b, b_type, batch * b_step + (b_turned ? (size_t)l * b_row + j : (size_t)j * b_row + l));
                float *out = (float *)c + batch * c_step + (size_t)j * c_row + i;
                float old = *(float *)beta == 0 ? 0 : *(float *)beta * *out;
                *out = (float)(*(float *)alpha * sum) + old;
            }
    return 0;
}
EXPORT int cublasGemmEx(void *handle, int a_turned, int b_turned, int m, int n, int k, const void *alpha, const void *a, int a_type,
                        int a_row, const void *b, int b_type, int b_row, const void *beta, void *c, int c_type, int c_row,
                        int compute, int algorithm) {
    return cublasGemmStridedBatchedEx(handle, a_turned, b_turned, m, n, k, alpha, a, a_type, a_row, 0, b, b_type, b_row, 0, beta,
                                      c, c_type, c_row, 0, 1, compute, algorithm);
}
EXPORT int curandCreateGenerator(void **generator, int) { return *generator = &thing, 0; }
EXPORT int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
EXPORT int curandSetStream(void *, void *) { return 0; }
EXPORT int curandDestroyGenerator(void *) { return 0; }
