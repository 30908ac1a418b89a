// The transforms of the algorithm `winograd`; compiled once per instruction set, by the rules of phases.cpp.
//
// F(3, 2): three outputs of a two-tap correlation from four products (Lavin & Gray 2016, with the points 0,
// 1, -1 and infinity). With d the window of four inputs and m the products:
//   B^T d = (d0 - d2, d1 + d2, d2 - d1, d3 - d1)      A^T m = (m0 + m1 - m2, m1 + m2, m1 - m2 + m3)
#include <cstdint>

#include "kernel_set.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

template <class Vector> inline void window(const Vector d[4], Vector out[4]) {
  out[0] = d[0] - d[2], out[1] = d[1] + d[2], out[2] = d[2] - d[1], out[3] = d[3] - d[1];
}

template <class Vector> inline void outputs(const Vector m[4], Vector out[3]) {
  out[0] = m[0] + m[1] - m[2], out[1] = m[1] + m[2], out[2] = m[1] - m[2] + m[3];
}

template <class T> void deal(const T* __restrict from, int64_t tiles, T* __restrict to, int64_t pitch) {
  for (int64_t t = 0; t < tiles; ++t)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) to[i * pitch + t] = from[3 * t + i];
}

template <class T, int rows>
void input(const T* lines, int64_t line_pitch, int64_t tiles, T* out, int64_t pitch) {
  using Vector = typename Simd<T>::Vector;
  for (int64_t t = 0; t < tiles; t += Simd<T>::lanes) {
    Vector half[rows][4];
#pragma GCC unroll 4
    for (int x = 0; x < 4; ++x) {
      Vector column[4], turned[4];
#pragma GCC unroll 4
      for (int y = 0; y < rows; ++y) column[y] = Simd<T>::load(lines + (y * 4 + x) * line_pitch + t);
      if constexpr (rows == 4) window(column, turned);
      else turned[0] = column[0];
#pragma GCC unroll 4
      for (int y = 0; y < rows; ++y) half[y][x] = turned[y];
    }
#pragma GCC unroll 4
    for (int y = 0; y < rows; ++y) {
      Vector row[4];
      window(half[y], row);
#pragma GCC unroll 4
      for (int x = 0; x < 4; ++x) Simd<T>::store(out + (y * 4 + x) * pitch + t, row[x]);
    }
  }
}

template <class T, int rows>
void output(const T* const* products, int64_t tiles, T* out, int64_t row_pitch, int64_t column_pitch) {
  using Vector = typename Simd<T>::Vector;
  constexpr int tile_rows = rows == 4 ? 3 : 1;
  for (int64_t t = 0; t < tiles; t += Simd<T>::lanes) {
    Vector half[tile_rows][4];
#pragma GCC unroll 4
    for (int x = 0; x < 4; ++x) {
      Vector column[4], made[3];
#pragma GCC unroll 4
      for (int y = 0; y < rows; ++y) column[y] = Simd<T>::load(products[y * 4 + x] + t);
      if constexpr (rows == 4) outputs(column, made);
      else made[0] = column[0];
#pragma GCC unroll 3
      for (int y = 0; y < tile_rows; ++y) half[y][x] = made[y];
    }
#pragma GCC unroll 3
    for (int y = 0; y < tile_rows; ++y) {
      Vector row[3];
      outputs(half[y], row);
#pragma GCC unroll 3
      for (int x = 0; x < 3; ++x) Simd<T>::store(out + y * row_pitch + x * column_pitch + t, row[x]);
    }
  }
}

template <class T>
void winograd_input(const T* lines, bool tall, int64_t line_pitch, int64_t tiles, T* out, int64_t pitch) {
  (tall ? input<T, 4> : input<T, 1>)(lines, line_pitch, tiles, out, pitch);
}

template <class T>
void winograd_output(const T* const* products, bool tall, int64_t tiles, T* out, int64_t row_pitch,
                     int64_t column_pitch) {
  (tall ? output<T, 4> : output<T, 1>)(products, tiles, out, row_pitch, column_pitch);
}

template <class T> WinogradSet<T> make_set() { return {deal<T>, winograd_input<T>, winograd_output<T>}; }

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_winograd_, TCONV_ISA)(WinogradSet<float>& f32, WinogradSet<double>& f64) {
  f32 = make_set<float>();
  f64 = make_set<double>();
}

}  // namespace tconv
