// Rows of 16-bit numbers to floats and back; compiled once per instruction set, by the rules of phases.cpp.
#include <cstdint>

#include "kernel_set.hpp"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace tconv {
namespace {

// n numbers in registers. Otherwise the compiler makes blocks so long that it converts short rows number by
// number.
template <int n> struct Vectors {
  typedef uint32_t Bits __attribute__((vector_size(4 * n), aligned(4), may_alias));
  typedef float Numbers __attribute__((vector_size(4 * n), aligned(4), may_alias));
  typedef uint16_t Short __attribute__((vector_size(2 * n), aligned(2), may_alias));
};

template <int n> inline void widen_block(const Brain* from, float* to) {
  using V = Vectors<n>;
  const auto bits =
      __builtin_convertvector(*reinterpret_cast<const typename V::Short*>(from), typename V::Bits);
  *reinterpret_cast<typename V::Bits*>(to) = bits << 16;
}

template <int n> inline void narrow_block(const float* from, Brain* to) {
  using V = Vectors<n>;
  const auto number = *reinterpret_cast<const typename V::Numbers*>(from);
  const auto bits = *reinterpret_cast<const typename V::Bits*>(from), half = bits >> 16;
  const auto made = number != number ? half | 0x40 : (bits + 0x7fff + (half & 1)) >> 16;
  *reinterpret_cast<typename V::Short*>(to) = __builtin_convertvector(made, typename V::Short);
}

template <int n> inline void widen_block(const Half* from, float* to) {
#if defined(__F16C__)
  _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#else
  for (int i = 0; i < n; ++i) to[i] = widened(from[i]);
#endif
}

template <int n> inline void narrow_block(const float* from, Half* to) {
#if defined(__F16C__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(_mm256_loadu_ps(from), 0));
#else
  for (int i = 0; i < n; ++i) to[i] = narrowed(from[i], Half{});
#endif
}

constexpr int block(Half) { return 8; }
constexpr uint16_t half_of(Half) { return 0xf000; }  // of the largest number, the sign shifted out
constexpr uint16_t half_of(Brain) { return 0xfe00; }
constexpr int block(Brain) { return TCONV_VECTOR_BYTES == 64 ? 16 : 8; }

// The last block of a row overlaps the previous one.
template <class S, int n = block(S{})>
void widen(const S* __restrict from, int64_t count, float* __restrict to) {
  if (count < n) {
    if constexpr (n > 8) return widen<S, 8>(from, count, to);
    for (int64_t i = 0; i < count; ++i) to[i] = widened(from[i]);
    return;
  }
  for (int64_t i = 0; i < count - n; i += n) widen_block<n>(from + i, to + i);
  widen_block<n>(from + count - n, to + count - n);
}

template <class S, int n = block(S{})>
void narrow(const float* __restrict from, int64_t count, S* __restrict to) {
  if (count < n) {
    if constexpr (n > 8) return narrow<S, 8>(from, count, to);
    for (int64_t i = 0; i < count; ++i) to[i] = narrowed(from[i], S{});
    return;
  }
  for (int64_t i = 0; i < count - n; i += n) narrow_block<n>(from + i, to + i);
  narrow_block<n>(from + count - n, to + count - n);
}

template <class S> bool bounded(const S* numbers, int64_t count) {
  uint16_t others = 0;
  for (int64_t i = 0; i < count; ++i)
    others |= static_cast<uint16_t>(static_cast<uint16_t>(numbers[i].bits << 1) >= half_of(S{}));
  return !others;
}

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_convert_, TCONV_ISA)(ConvertSet<Half>& f16, ConvertSet<Brain>& bf16) {
  f16 = {widen<Half>, narrow<Half>, bounded<Half>};
  bf16 = {widen<Brain>, narrow<Brain>, bounded<Brain>};
}

}  // namespace tconv
