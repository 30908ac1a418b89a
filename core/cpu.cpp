// Asked of the CPU itself: __builtin_cpu_supports, which would read the same registers, answers "no" to
// everything where the compiler's runtime library does not initialise it, as with zig, and the kernels would
// then be slow without a word.
#include "cpu.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <cstdint>
#include <cstring>
#endif

namespace tconv {

#if defined(__x86_64__)
namespace {

struct Leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
  // All zeros where the CPU has no such leaf.
  Leaf(unsigned leaf, unsigned sub) { __get_cpuid_count(leaf, sub, &a, &b, &c, &d); }
};

constexpr bool bit(uint64_t word, int index) { return word >> index & 1; }

// Which registers the system saves when it switches processes (XCR0).
uint64_t saved_registers() {
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

}  // namespace

// Bits: Intel's manual, volume 2A, "CPUID", and volume 1, chapter 13, "XCR0".
CpuVectors cpu_vectors() {
  const Leaf one(1, 0), seven(7, 0), more(7, 1);
  CpuVectors found;
  if (!bit(one.c, 27)) return found;  // osxsave: without it there is no xgetbv
  const uint64_t saved = saved_registers();
  const bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6, tiles = (saved & 0x60000) == 0x60000;
  const bool fma = bit(one.c, 12), f16c = bit(one.c, 29);
  found.avx2 = ymm && fma && f16c && bit(one.c, 28) && bit(seven.b, 5);
  found.avx512 =
      found.avx2 && zmm && bit(seven.b, 16) && bit(seven.b, 17) && bit(seven.b, 30) && bit(seven.b, 31);
  found.amx = found.avx512 && tiles && bit(seven.d, 22) && bit(seven.d, 24) && bit(more.a, 5);
  return found;
}

// The vendor's and the CPU's name are stored as text in the registers. Family and model: Intel's manual and
// AMD's (volume 3, appendix E) extend them in the same way.
CpuName cpu_name() {
  const Leaf zero(0, 0), one(1, 0);
  CpuName found;
  for (unsigned word : {zero.b, zero.d, zero.c}) found.vendor.append(reinterpret_cast<const char*>(&word), 4);
  const int family = one.a >> 8 & 0xf;
  found.family = family == 0xf ? family + static_cast<int>(one.a >> 20 & 0xff) : family;
  found.model = static_cast<int>(one.a >> 4 & 0xf);
  if (family == 0x6 || family == 0xf) found.model += static_cast<int>(one.a >> 16 & 0xf) << 4;
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    const Leaf part(leaf, 0);
    for (unsigned word : {part.a, part.b, part.c, part.d})
      found.name.append(reinterpret_cast<const char*>(&word), 4);
  }
  found.name.resize(std::strlen(found.name.c_str()));
  return found;
}
#else
CpuVectors cpu_vectors() { return {}; }
CpuName cpu_name() { return {}; }
#endif

}  // namespace tconv
