// The kernels of the algorithm `phases`. This file is compiled once per instruction set: TCONV_ISA names it,
// TCONV_VECTOR_BYTES is its register width and TCONV_ACCUMULATORS how many registers may hold sums.
//
// Everything lives in an unnamed namespace and uses no library template, so that no code compiled for one
// instruction set can be shared by the linker with another.
#include <cstdint>

#include "activations.hpp"
#include "kernel_set.hpp"
#include "simd.hpp"

namespace tconv {
namespace {

// The register tile: rows x vectors accumulators stay in registers over the whole reduction, so each sum is
// written once. The compiler unrolls both loops and fuses multiplication and addition.
template <class T, int rows, int vectors> void tile(const TileArgs<T>& args) {
  using Vector = typename Simd<T>::Vector;
  constexpr int lanes = Simd<T>::lanes;
  Vector sums[rows][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j)
      sums[i][j] = args.accumulate ? Simd<T>::load(args.c + i * args.c_stride + j * lanes) : Vector{};
  const int64_t a_step = args.a_step, b_step = args.b_step, steps = args.steps, ahead = args.ahead;
  for (int64_t t = 0; t < args.taps; ++t) {
    const T* a = args.a + t * args.a_tap + args.a_on * args.offsets[t];
    const T* b = args.b + t * args.b_tap + args.b_on * args.offsets[t];
    for (int64_t s = 0; s < steps; ++s, a += a_step, b += b_step) {
      Vector columns[vectors];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        columns[j] = Simd<T>::load(b + j * lanes);
        if constexpr (rows > 1) hold(columns[j]);
      }
      __builtin_prefetch(a + ahead);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) sums[i][j] += a[i] * columns[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) Simd<T>::store(args.c + i * args.c_stride + j * lanes, sums[i][j]);
}

// `count` numbers, at least 1 and fewer than 2 * width, as two pieces that may overlap.
template <class T, int width> inline void copy_some(const T* from, int64_t count, T* to) {
  if constexpr (width > 1) {
    if (count < width) return copy_some<T, width / 2>(from, count, to);
  }
  T first[width], second[width];
  __builtin_memcpy(first, from, sizeof first);
  __builtin_memcpy(second, from + count - width, sizeof second);
  __builtin_memcpy(to, first, sizeof first);
  __builtin_memcpy(to + count - width, second, sizeof second);
}

// Transposes a matrix in squares held in registers: to[i * to_stride + c] = from[c * from_stride + i]. The
// last squares overlap the previous ones.
template <class T>
void turn(const T* __restrict from, int64_t from_stride, int64_t count, int64_t channels, T* __restrict to,
          int64_t to_stride) {
  constexpr int64_t lanes = Simd<T>::lanes;
  for (int64_t next = 0; next < channels; next += lanes) {
    const int64_t c0 = channels < lanes ? 0 : next + lanes > channels ? channels - lanes : next;
    const int64_t width = channels < lanes ? channels : lanes;
    if (count < lanes || width < lanes / 2) {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = c0; c < c0 + width; ++c) to[i * to_stride + c] = from[c * from_stride + i];
      continue;
    }
    for (int64_t begin = 0; begin < count; begin += lanes) {
      const int64_t i0 = begin + lanes > count ? count - lanes : begin;
      typename Simd<T>::Vector rows[lanes];
      const T* square = from + c0 * from_stride + i0;
      T* out = to + i0 * to_stride + c0;
      if (width == lanes) {
#pragma GCC unroll 16
        for (int c = 0; c < lanes; ++c) rows[c] = Simd<T>::load(square + c * from_stride);
        turn_square<T, 1>(rows);
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) Simd<T>::store(out + i * to_stride, rows[i]);
      } else {
#pragma GCC unroll 16
        for (int c = 0; c < lanes; ++c) rows[c] = Simd<T>::load(square + (c < width ? c : 0) * from_stride);
        turn_square<T, 1>(rows);
        T turned[lanes * lanes];
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) Simd<T>::store(turned + i * lanes, rows[i]);
        for (int i = 0; i < lanes; ++i)
          copy_some<T, lanes / 2>(turned + i * lanes, width, out + i * to_stride);
      }
    }
  }
}

template <int size> struct BitsOf {
  typedef uint32_t Type;
};
template <> struct BitsOf<8> {
  typedef uint64_t Type;
};

// Interleaves two rows, in vectors that shrink towards the end: rows of a few cells are common.
template <class T, class Last, int... lane>
inline int64_t interleave_two(const T* even, const T* odd, int64_t x, int64_t cells, T bias, const Last& last,
                              T* out, Indices<lane...>) {
  constexpr int width = sizeof...(lane);
  typedef T Vector __attribute__((vector_size(width * sizeof(T)), aligned(sizeof(T)), may_alias));
  for (; x + width <= cells; x += width) {
    const Vector a = last(*reinterpret_cast<const Vector*>(even + x) + bias),
                 b = last(*reinterpret_cast<const Vector*>(odd + x) + bias);
    *reinterpret_cast<Vector*>(out + 2 * x) =
        __builtin_shufflevector(a, b, ((lane & 1) * width + lane / 2)...);
    *reinterpret_cast<Vector*>(out + 2 * x + width) =
        __builtin_shufflevector(a, b, ((lane & 1) * width + width / 2 + lane / 2)...);
  }
  if constexpr (width > 2)
    return interleave_two(even, odd, x, cells, bias, last, out, typename Count<width / 2>::Type{});
  return x;
}

template <class T, int phases, class Last>
void interleave_whole(const T* __restrict sums, int64_t phase_stride, int64_t cells, T bias, const Last& last,
                      T* __restrict out) {
  for (int64_t x = 0; x < cells; ++x)
#pragma GCC unroll 6
    for (int r = 0; r < phases; ++r) out[x * phases + r] = last(sums[r * phase_stride + x] + bias);
}

// Whole cells of three and more phases. Not inlined: constants of these loops would be loaded for every row
// of two phases.
template <class T, class Last>
__attribute__((noinline)) void interleave_many(const T* sums, int64_t phase_stride, int64_t phases,
                                               int64_t whole, T bias, const Last& last, T* out) {
  switch (phases) {
    case 3: return interleave_whole<T, 3>(sums, phase_stride, whole, bias, last, out);
    case 4: return interleave_whole<T, 4>(sums, phase_stride, whole, bias, last, out);
  }
  if (phases < Simd<T>::lanes) {
    for (int64_t r = 0; r < phases; ++r)
      for (int64_t c = 0; c < whole; ++c) out[c * phases + r] = sums[r * phase_stride + c] + bias;
  } else {
    turn(sums, phase_stride, whole, phases, out, phases);
    for (int64_t i = 0; bias != 0 && i < whole * phases; ++i) out[i] += bias;
  }
  for (int64_t i = 0; Last::changes && i < whole * phases; ++i) out[i] = last(out[i]);
}

// One row, of which the cells [x, x + whole) are stored whole.
template <class T, class Last>
inline void interleave_row(const InterleaveArgs<T>& args, const Last& last, const T* from, T* to, int64_t x,
                           int64_t whole) {
  const int64_t phases = args.phases, end = args.skip + args.length;
  const T bias = args.bias;
  // The indices [begin, end) of the row, all in one cell.
  const auto some = [&](int64_t cell, int64_t begin, int64_t end) {
    const T* sum = from + (begin - cell * phases) * args.phase_stride + cell;
    for (int64_t i = begin; i < end; ++i, sum += args.phase_stride) to[i - args.skip] = last(*sum + bias);
  };
  if (whole <= 0) {  // one cell, or parts of two
    const int64_t middle = x * phases < end ? x * phases : end;
    some(x - 1, args.skip, middle);
    some(x, middle, end);
    return;
  }
  some(x - 1, args.skip, x * phases);
  const T* sums = from + x;
  T* out = to + x * phases - args.skip;
  if (phases == 1) {
    interleave_whole<T, 1>(sums, args.phase_stride, whole, bias, last, out);
  } else if (phases == 2) {
    for (int64_t c = interleave_two(sums, sums + args.phase_stride, 0, whole, bias, last, out,
                                    typename Count<Simd<T>::lanes>::Type{});
         c < whole; ++c)
      out[2 * c] = last(sums[c] + bias), out[2 * c + 1] = last(sums[args.phase_stride + c] + bias);
  } else {
    interleave_many(sums, args.phase_stride, phases, whole, bias, last, out);
  }
  some(x + whole, (x + whole) * phases, end);
}

template <class T, class Last> void interleave_rows(const InterleaveArgs<T>& args, const Last& last) {
  const int64_t x = ceil_div(args.skip, args.phases), whole = (args.skip + args.length) / args.phases - x;
  for (int64_t y = 0; y < args.rows; ++y)
    interleave_row(args, last, args.sums + y * args.sums_step, args.out + y * args.out_step, x, whole);
}

template <class T, int phases>
void runs_whole(const T* __restrict sums, int64_t cell_stride, int64_t cells, T bias, T* __restrict out) {
  for (int64_t x = 0; x < cells; ++x, sums += cell_stride, out += phases)
#pragma GCC unroll 64
    for (int r = 0; r < phases; ++r) out[r] = sums[r] + bias;
}

template <class T> void runs(const RunsArgs<T>& args) {
  const int64_t phases = args.phases;
  int64_t x = ceil_div(args.skip, phases);
  const int64_t whole = (args.skip + args.length) / phases - x;
  const auto one = [&](int64_t index) {
    args.out[index - args.skip] = args.sums[(index / phases) * args.cell_stride + index % phases] + args.bias;
  };
  if (whole <= 0) {
    for (int64_t i = args.skip; i < args.skip + args.length; ++i) one(i);
    return;
  }
  for (int64_t i = args.skip; i < x * phases; ++i) one(i);
  const T* sums = args.sums + x * args.cell_stride;
  T* out = args.out + x * phases - args.skip;
  switch (phases) {
    case 1: runs_whole<T, 1>(sums, args.cell_stride, whole, args.bias, out); break;
    case 2: runs_whole<T, 2>(sums, args.cell_stride, whole, args.bias, out); break;
    case 4: runs_whole<T, 4>(sums, args.cell_stride, whole, args.bias, out); break;
    case 8: runs_whole<T, 8>(sums, args.cell_stride, whole, args.bias, out); break;
    case 16: runs_whole<T, 16>(sums, args.cell_stride, whole, args.bias, out); break;
    case 32: runs_whole<T, 32>(sums, args.cell_stride, whole, args.bias, out); break;
    default:
      for (int64_t c = 0; c < whole; ++c)
        for (int64_t r = 0; r < phases; ++r) out[c * phases + r] = sums[c * args.cell_stride + r] + args.bias;
  }
  for (int64_t i = (x + whole) * phases; i < args.skip + args.length; ++i) one(i);
}

template <class T> void gather(const T* __restrict from, int64_t stride, int64_t count, T* __restrict to) {
  switch (stride) {
    case 1:
      for (int64_t i = 0; i < count; ++i) to[i] = from[i];
      break;
    case 2:
      for (int64_t i = 0; i < count; ++i) to[i] = from[2 * i];
      break;
    default:
      for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
  }
}

template <class T>
void deal(const T* __restrict from, int64_t stride, int64_t count, T* __restrict to, int64_t to_stride) {
  if (stride == 3) {
    for (int64_t i = 0; i < count; ++i)
      for (int64_t r = 0; r < 3; ++r) to[r * to_stride + i] = from[i * 3 + r];
    return;
  }
  // Blocks of 16 phases keep the lines being written in L1.
  for (int64_t r0 = 0; r0 < stride; r0 += 16) {
    const int64_t width = stride - r0 < 16 ? stride - r0 : 16;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t r = 0; r < width; ++r) to[(r0 + r) * to_stride + i] = from[i * stride + r0 + r];
  }
}

template <class T>
void lay(const T* __restrict from, int64_t from_stride, int64_t count, int64_t channels,
         const T* __restrict bias, T* __restrict to, int64_t to_stride) {
  constexpr int64_t lanes = Simd<T>::lanes;
  if (!bias && channels == from_stride && channels == to_stride) channels *= count, count = 1;
  if (channels == 0) return;
  for (int64_t i = 0; i < count; ++i, from += from_stride, to += to_stride) {
    if (channels < lanes) {
      if (bias)
        for (int64_t c = 0; c < channels; ++c) to[c] = from[c] + bias[c];
      else copy_some<T, lanes / 2>(from, channels, to);
      continue;
    }
    for (int64_t next = 0; next < channels; next += lanes) {
      const int64_t c = next + lanes > channels ? channels - lanes : next;
      Simd<T>::store(to + c,
                     bias ? Simd<T>::load(from + c) + Simd<T>::load(bias + c) : Simd<T>::load(from + c));
    }
  }
}

template <class T>
void transpose(const T* __restrict from, int64_t from_stride, int64_t step, int64_t count, int64_t channels,
               T* __restrict to, int64_t to_stride) {
  if (step == 1) return turn(from, from_stride, count, channels, to, to_stride);
  if (from_stride == 1) return lay<T>(from, step, count, channels, nullptr, to, to_stride);
  // Blocks of 16 channels keep the lines being written in L1.
  for (int64_t c0 = 0; c0 < channels; c0 += 16) {
    const int64_t width = channels - c0 < 16 ? channels - c0 : 16;
    if (width == 16) {
      for (int64_t i = 0; i < count; ++i)
#pragma GCC unroll 16
        for (int64_t c = 0; c < 16; ++c) to[i * to_stride + c0 + c] = from[(c0 + c) * from_stride + i * step];
    } else {
      for (int64_t i = 0; i < count; ++i)
        for (int64_t c = 0; c < width; ++c)
          to[i * to_stride + c0 + c] = from[(c0 + c) * from_stride + i * step];
    }
  }
}

template <class T> void interleave(const InterleaveArgs<T>& args) {
  if (with_simple(args.activation, [&](auto last) { interleave_rows(args, last); })) return;
  interleave_rows(args, Same{});  // the others take long enough to be a separate pass
  for (int64_t y = 0; y < args.rows; ++y)
    activate(args.out + y * args.out_step, args.length, args.activation);
}

// Sums, a row of columns and one broadcast must fit into the register file, which has 4 registers more than
// may hold sums: GCC keeps a broadcast in a register even where a multiplication could read it from memory,
// and a sum that has no register then waits for its own store in every step.
constexpr bool fits(int rows, int vectors) {
  return rows * vectors <= TCONV_ACCUMULATORS && (rows + 1) * vectors + 1 <= TCONV_ACCUMULATORS + 4;
}

// Widths at which every tile is wider than high are left out: they would load more than they multiply.
template <class T, int rows, int vectors> void fill_tiles(KernelSet<T>& set) {
  if constexpr (fits(rows, vectors) && fits(vectors, vectors))
    set.tile[rows][vectors] = tile<T, rows, vectors>;
  if constexpr (vectors > 1) fill_tiles<T, rows, vectors - 1>(set);
  else if constexpr (rows > 1) fill_tiles<T, rows - 1, KernelSet<T>::kMaxVectors>(set);
}

template <class T> bool bounded(const T* numbers, int64_t count) {
  using Bits = typename BitsOf<sizeof(T)>::Type;
  constexpr Bits half =
      static_cast<Bits>(sizeof(T) == 4 ? 0xfe000000 : 0xffc0000000000000);  // sign shifted out
  Bits others = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    __builtin_memcpy(&bits, numbers + i, sizeof bits);
    others |= static_cast<Bits>(static_cast<Bits>(bits << 1) >= half);
  }
  return !others;
}

template <class T> void fill_set(KernelSet<T>& set) {
  set.lanes = Simd<T>::lanes;
  fill_tiles<T, KernelSet<T>::kMaxRows, KernelSet<T>::kMaxVectors>(set);
  set.interleave = interleave<T>;
  set.runs = runs<T>;
  set.gather = gather<T>;
  set.deal = deal<T>;
  set.transpose = transpose<T>;
  set.lay = lay<T>;
  set.activate = activate<T>;
  set.bounded = bounded<T>;
}

}  // namespace

#define TCONV_JOIN_(a, b) a##b
#define TCONV_JOIN(a, b) TCONV_JOIN_(a, b)

void TCONV_JOIN(fill_phases_, TCONV_ISA)(KernelSet<float>& f32, KernelSet<double>& f64) {
  fill_set(f32);
  fill_set(f64);
}

}  // namespace tconv
