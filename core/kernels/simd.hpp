// The vector register of the instruction set that the including file is compiled for. Included by kernel
// files only.
#pragma once

namespace tconv {
namespace {

template <class T> struct Simd {
  typedef T Vector __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  typedef T Unaligned __attribute__((vector_size(TCONV_VECTOR_BYTES), aligned(sizeof(T)), may_alias));
  static constexpr int lanes = TCONV_VECTOR_BYTES / sizeof(T);

  static Vector load(const T* from) { return *reinterpret_cast<const Unaligned*>(from); }
  static void store(T* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }
};

// Keeps a vector in a register. GCC makes a vector of few uses an operand in memory of each of them, although
// most of these loads cross a cache line.
template <class Vector> inline void hold([[maybe_unused]] Vector& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#endif
}

template <int... index> struct Indices {};
template <int count, int... index> struct Count : Count<count - 1, count - 1, index...> {};
template <int... index> struct Count<0, index...> {
  typedef Indices<index...> Type;
};

// Swaps the squares of `side` numbers that lie off the diagonal of two rows of squares of twice that side.
template <int side, class Vector, int... lane>
inline void swap_squares(Vector& upper, Vector& lower, Indices<lane...>) {
  constexpr int lanes = sizeof...(lane);
  const Vector u = upper, l = lower;
  upper = __builtin_shufflevector(u, l, (lane & side ? lanes + lane - side : lane)...);
  lower = __builtin_shufflevector(u, l, (lane & side ? lanes + lane : lane + side)...);
}

template <class T, int side> inline void turn_square(typename Simd<T>::Vector* rows) {
  if constexpr (side < Simd<T>::lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < Simd<T>::lanes; ++i)
      if (!(i & side)) swap_squares<side>(rows[i], rows[i + side], typename Count<Simd<T>::lanes>::Type{});
    turn_square<T, 2 * side>(rows);
  }
}

}  // namespace
}  // namespace tconv
