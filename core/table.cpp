#include "table.hpp"

#include <stdexcept>

#include "cpu.hpp"

#if defined(TCONV_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace tconv {

// The functions that the kernel files of one instruction set define, and how its two sets are filled.
#define TCONV_INSTRUCTION_SET(isa)                                             \
  void fill_phases_##isa(KernelSet<float>& f32, KernelSet<double>& f64);       \
  void fill_dots_##isa(KernelSet<float>& f32, KernelSet<double>& f64);         \
  void fill_col2im_##isa(KernelSet<float>& f32, KernelSet<double>& f64);       \
  void fill_winograd_##isa(WinogradSet<float>& f32, WinogradSet<double>& f64); \
  void fill_convert_##isa(ConvertSet<Half>& f16, ConvertSet<Brain>& bf16);     \
  static IsaKernels isa##_kernels() {                                          \
    static KernelSet<float> f32{};                                             \
    static KernelSet<double> f64{};                                            \
    static ConvertSet<Half> f16{};                                             \
    static ConvertSet<Brain> bf16{};                                           \
    fill_phases_##isa(f32, f64);                                               \
    fill_dots_##isa(f32, f64);                                                 \
    fill_col2im_##isa(f32, f64);                                               \
    fill_winograd_##isa(f32.winograd, f64.winograd);                           \
    fill_convert_##isa(f16, bf16);                                             \
    return {#isa, #isa, &f32, &f64, &f16, &bf16};                              \
  }
#if defined(__aarch64__)
TCONV_INSTRUCTION_SET(neon)
// Every CPU has a baseline, which callers may name: here the same functions.
static IsaKernels baseline_kernels() {
  IsaKernels kernels = neon_kernels();
  kernels.isa = kernels.vectors = "baseline";
  return kernels;
}
#else
TCONV_INSTRUCTION_SET(baseline)
#endif
#if defined(__x86_64__)
TCONV_INSTRUCTION_SET(avx2)
TCONV_INSTRUCTION_SET(avx512)
#endif
#if defined(TCONV_AMX)
void fill_matrix(MatrixSet<float>& set);
void fill_correlate(MatrixSet<float>& set);
void fill_parts(MatrixSet<float>& set);
// Its vectors are those of avx512.
static IsaKernels amx_kernels() {
  const IsaKernels vectors = avx512_kernels();
  static KernelSet<float> f32 = *vectors.f32;
  fill_matrix(f32.matrix);
  fill_correlate(f32.matrix);
  fill_parts(f32.matrix);
  return {"amx", "avx512", &f32, vectors.f64, vectors.f16, vectors.bf16};
}
// Whether the registers exist and the system, which has to be asked, lets this process use them.
static bool amx_allowed(const CpuVectors& cpu) {
#if defined(TCONV_EMULATE_TILES)
  return cpu.avx512;
#else
  constexpr long kAskForState = 0x1023, kTileData = 18;
  return cpu.amx && syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
#endif
}
#endif

// Best first. A new instruction set is a line above, one here, and one in CMakeLists.txt.
const std::vector<IsaKernels>& isa_kernels() {
  static const std::vector<IsaKernels> available = [] {
    std::vector<IsaKernels> list;
#if defined(__x86_64__)
    const CpuVectors cpu = cpu_vectors();
#if defined(TCONV_AMX)
    if (amx_allowed(cpu)) list.push_back(amx_kernels());
#endif
    if (cpu.avx512) list.push_back(avx512_kernels());
    if (cpu.avx2) list.push_back(avx2_kernels());
#elif defined(__aarch64__)
    list.push_back(neon_kernels());
#endif
    list.push_back(baseline_kernels());
    return list;
  }();
  return available;
}

const IsaKernels& find_isa(const std::string& name) {
  for (const IsaKernels& kernels : isa_kernels())
    if (name == kernels.isa) return kernels;
  throw std::invalid_argument("this CPU has no instruction set " + name);
}

template <> const KernelSet<float>& kernels_for<float>(const std::string& isa) { return *find_isa(isa).f32; }
template <> const KernelSet<double>& kernels_for<double>(const std::string& isa) {
  return *find_isa(isa).f64;
}
template <> const ConvertSet<Half>& converts_for<Half>(const std::string& isa) { return *find_isa(isa).f16; }
template <> const ConvertSet<Brain>& converts_for<Brain>(const std::string& isa) {
  return *find_isa(isa).bf16;
}

int lanes_of(const Plan& plan) {
  return plan.operands.sums == DType::f64 ? kernels_for<double>(plan.isa).lanes
                                          : kernels_for<float>(plan.isa).lanes;
}

namespace {
struct DTypeFacts {
  const char* name;
  int64_t size;
};
constexpr DTypeFacts kFacts[kDTypes] = {{"f32", 4},   {"f64", 8}, {"f16", 2}, {"bf16", 2}, {"c64", 8},
                                        {"c128", 16}, {"i8", 1},  {"i16", 2}, {"i32", 4},  {"i64", 8},
                                        {"u8", 1},    {"u16", 2}, {"u32", 4}, {"u64", 8}};
}  // namespace

const char* dtype_name(DType dtype) { return kFacts[static_cast<int>(dtype)].name; }
int64_t dtype_size(DType dtype) { return kFacts[static_cast<int>(dtype)].size; }

std::string kernel_name(const Plan& plan) {
  const std::string dtype = dtype_name(plan.operands.source);
  const auto named = [&](const char* algorithm, int rows, int vectors, int parts) {
    const std::string tile = std::to_string(rows) + "x" + std::to_string(vectors);
    return dtype + algorithm + tile + "__" + (parts ? plan.isa : find_isa(plan.isa).vectors);
  };
  if (const auto* p = std::get_if<PhasesPlan>(&plan.part))
    return named("_phases_", p->rows, p->vectors, p->parts);
  if (const auto* p = std::get_if<WinogradPlan>(&plan.part))
    return named("_winograd_", p->rows, p->vectors, 0);
  if (const auto* p = std::get_if<Col2imPlan>(&plan.part)) return named("_col2im_", p->rows, p->vectors, 0);
  if (const auto* p = std::get_if<DotsPlan>(&plan.part)) return named("_dots_", p->rows, p->columns, 0);
  if (const auto* p = std::get_if<GradientPlan>(&plan.part))
    return named("_phases_", p->rows, p->vectors, p->parts);
  return dtype + "_reference__baseline";
}

}  // namespace tconv
