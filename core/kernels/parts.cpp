// Numbers split into bfloat16 parts while they are packed for matrix registers. kernels/matrix.cpp explains
// parts.
#include <immintrin.h>

#include <cstdint>

#include "kernel_set.hpp"
#include "registers.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

// The parts of 32 numbers in order. Returns which of them are not the sum of their parts.
template <int parts> inline __mmask16 split(__m512 low, __m512 high, __m512i* to) {
#pragma GCC unroll 3
  for (int p = 0; p + 1 < parts; ++p) {
    to[p] = nearest(high, low);
    low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(
                                 _mm512_cvtepu16_epi32(_mm512_castsi512_si256(to[p])), 16)));
    high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_slli_epi32(
                                   _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(to[p], 1)), 16)));
  }
  to[parts - 1] = nearest(high, low);
  return static_cast<__mmask16>(unusual(low) | unusual(high));
}

template <int parts> void split_rows(const float* from, int64_t from_stride, int64_t blocks, float* to) {
  for (int64_t k = 0; k < blocks; ++k, from += 32, to += parts * 256)
    for (int r = 0; r < 16; ++r) {
      __m512i made[parts];
      split<parts>(_mm512_loadu_ps(from + r * from_stride), _mm512_loadu_ps(from + r * from_stride + 16),
                   made);
#pragma GCC unroll 3
      for (int p = 0; p < parts; ++p) _mm512_storeu_si512(to + p * 256 + r * 16, made[p]);
    }
}

template <int parts>
void split_columns(const float* from, int64_t from_stride, int64_t blocks, float* to, int64_t part) {
  for (int64_t k = 0; k < blocks; ++k, from += 32, to += 256) {
    __m512i rows[16][parts];
    for (int c = 0; c < 16; ++c)
      split<parts>(_mm512_loadu_ps(from + c * from_stride), _mm512_loadu_ps(from + c * from_stride + 16),
                   rows[c]);
#pragma GCC unroll 3
    for (int p = 0; p < parts; ++p) {
      Simd<float>::Vector pairs[16];  // moved as if they were floats
#pragma GCC unroll 16
      for (int c = 0; c < 16; ++c) pairs[c] = reinterpret_cast<Simd<float>::Vector>(rows[c][p]);
      turn_square<float, 1>(pairs);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) Simd<float>::store(to + p * part + 16 * i, pairs[i]);
    }
  }
}

void split_rows_any(const float* from, int64_t from_stride, int64_t blocks, int parts, float* to) {
  const auto split = parts == 1 ? split_rows<1> : parts == 2 ? split_rows<2> : split_rows<3>;
  split(from, from_stride, blocks, to);
}

void split_columns_any(const float* from, int64_t from_stride, int64_t blocks, int parts, float* to,
                       int64_t part) {
  const auto split = parts == 1 ? split_columns<1> : parts == 2 ? split_columns<2> : split_columns<3>;
  split(from, from_stride, blocks, to, part);
}

void shift_pairs(const float* from, int64_t count, float* to) {
  __m512i own = _mm512_loadu_si512(from);
  for (int64_t i = 0; i < count; i += 2, to += 16) {
    from += 16;
    const __m512i next = i + 2 < count ? _mm512_loadu_si512(from) : _mm512_setzero_si512();
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_srli_epi32(own, 16), _mm512_slli_epi32(next, 16)));
    own = next;
  }
}

// [element][number]: `count` elements, at most 16, of 16 kernels that are `stride` apart, of which only
// `kernels` exist.
inline void elements_of(const float* from, int64_t stride, int64_t kernels, int64_t count,
                        Simd<float>::Vector* rows) {
  const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1);
  for (int d = 0; d < 16; ++d)
    rows[d] = reinterpret_cast<Simd<float>::Vector>(
        _mm512_maskz_loadu_ps(d < kernels ? mask : 0, from + (d < kernels ? d : 0) * stride));
  turn_square<float, 1>(rows);
}

// The same where `count` vectors hold 16 whole kernels: even and odd elements are separated until one element
// is left.
template <int count> inline void deal_out(__m512* rows) {
  if constexpr (count > 1) {
    const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odds = _mm512_add_epi32(evens, _mm512_set1_epi32(1));
    __m512 even[count / 2], odd[count / 2];
#pragma GCC unroll 4
    for (int i = 0; i < count / 2; ++i) {
      even[i] = _mm512_permutex2var_ps(rows[2 * i], evens, rows[2 * i + 1]);
      odd[i] = _mm512_permutex2var_ps(rows[2 * i], odds, rows[2 * i + 1]);
    }
    deal_out<count / 2>(even), deal_out<count / 2>(odd);
#pragma GCC unroll 4
    for (int i = 0; i < count / 2; ++i) rows[2 * i] = even[i], rows[2 * i + 1] = odd[i];
  }
}

template <int count> inline void elements_of_whole(const float* from, Simd<float>::Vector* rows) {
  __m512 some[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) some[i] = _mm512_loadu_ps(from + 16 * i);
  deal_out<count>(some);
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) rows[i] = reinterpret_cast<Simd<float>::Vector>(some[i]);
}

template <int parts>
bool pack_kernels(const float* from, int64_t stride, int64_t kernels, int64_t count, float* to,
                  const int64_t* places, int64_t part) {
  // If kernels are far apart, the next 32 are prefetched; but not where they would all map to the same few
  // sets of the caches.
  for (int64_t d = 32; stride >= 64 && stride % 1024 != 0 && d < 64; ++d)
    _mm_prefetch(from + d * stride, _MM_HINT_T1);
  Simd<float>::Vector rows[2][16];
  for (int half = 0; half < 2; ++half) {
    const float* own = from + 16 * half * stride;
    const int64_t there = kernels - 16 * half;
    if (there >= 16 && stride == count && count == 2) elements_of_whole<2>(own, rows[half]);
    else if (there >= 16 && stride == count && count == 4) elements_of_whole<4>(own, rows[half]);
    else if (there >= 16 && stride == count && count == 8) elements_of_whole<8>(own, rows[half]);
    else elements_of(there > 0 ? own : from, stride, there, count, rows[half]);
  }
  __mmask16 lost = 0;
  for (int64_t e = 0; e < count; ++e) {
    if (places[e] < 0) continue;
    __m512i made[parts];
    lost |= split<parts>(reinterpret_cast<__m512>(rows[0][e]), reinterpret_cast<__m512>(rows[1][e]), made);
#pragma GCC unroll 3
    for (int p = 0; p < parts; ++p) _mm512_storeu_si512(to + places[e] + p * part, made[p]);
  }
  return lost;
}

bool pack_kernels_any(const float* from, int64_t stride, int64_t kernels, int64_t count, int parts, float* to,
                      const int64_t* places, int64_t part) {
  const auto pack = parts == 1 ? pack_kernels<1> : parts == 2 ? pack_kernels<2> : pack_kernels<3>;
  return pack(from, stride, kernels, count, to, places, part);
}

}  // namespace

void fill_parts(MatrixSet<float>& set) {
  set.split_rows = split_rows_any;
  set.split_columns = split_columns_any;
  set.shift_pairs = shift_pairs;
  set.pack_kernels = pack_kernels_any;
}

}  // namespace tconv
