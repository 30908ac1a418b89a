// The activations of the epilogue, on numbers or on vectors of them. Included by kernel files only.
//
// The curves are computed from e^-|x|, so that nothing overflows and small results keep their digits. Errors
// are bounded in units of eps by tests/core/test_activations.py. NaN stays NaN.
#pragma once

#include "kernel_set.hpp"
#include "simd.hpp"

// A call for each vector would load all constants again.
#define TCONV_INLINE [[gnu::always_inline]] inline

namespace tconv {
namespace {

struct Same {
  static constexpr bool changes = false;
  template <class T> T operator()(T x) const { return x; }
};
template <class Number> struct Clamp {  // also relu
  static constexpr bool changes = true;
  Number lo, hi;
  template <class T> T operator()(T x) const {
    x = x < lo ? T{} + lo : x;
    return x > hi ? T{} + hi : x;
  }
};
template <class Number> struct Leaky {
  static constexpr bool changes = true;
  Number slope;
  template <class T> T operator()(T x) const { return x < 0 ? x * slope : x; }
};
// x clip(x + 3, 0, 6) / 6
template <class Number> struct HardSwish {
  static constexpr bool changes = true;
  template <class T> T operator()(T x) const {
    const T gate = Clamp<Number>{Number(0), Number(6)}(x + Number(3));
    return x * (gate * (Number(1) / Number(6)));
  }
};

// exp(x) - 1 as 2^n p + (2^n - 1), with x = n log 2 + r and p the series of exp(r) - 1, |r| <= log(2) / 2.
// Past the bounds of x the result is the value at the bound, and NaN stays NaN.
template <class T> struct Exponential {
  using Vector = typename Simd<T>::Vector;
  static constexpr bool single = sizeof(T) == 4;
  static constexpr T kLeast = single ? T(-87) : T(-708),
                     kMost = single ? T(88.9) : T(710);  // 2^n is infinite at the latter
  Vector power, p;                                       // 2^n; exp(r) - 1

  explicit Exponential(Vector x) {
    x = x < kLeast ? kLeast + Vector{} : x;
    x = x > kMost ? kMost + Vector{} : x;
    Vector shifted;
    p = series(reduced(x, shifted));
    if constexpr (single) power = reinterpret_cast<Vector>((reinterpret_cast<Short>(shifted) + 127) << 23);
    else power = reinterpret_cast<Vector>((reinterpret_cast<Long>(shifted) + 1023) << 52);
  }

  // r; the low bits of `shifted` are n.
  static Vector reduced(Vector x, Vector& shifted) {
    // log 2 as a sum of two numbers, of which n times the first is exact.
    const T high = single ? T(0.693145751953125) : T(0.69314718036912381649017333984375);
    const T low = single ? T(1.428606765330187045e-06) : T(1.908214929270587700e-10),
            one_by_log2 = T(1.44269504088896340736);
    // Adding and subtracting 1.5 * 2^23 (2^52) rounds; the low bits of the sum are the integer.
    const T magic = single ? T(12582912) : T(6755399441055744);
    shifted = x * one_by_log2 + magic;
    const Vector n = shifted - magic;
    return (x - n * high) - n * low;
  }

  static Vector series(Vector r) {
    Vector p = Vector{} + T(1) / T(single ? 5040 : 6227020800);
    T factorial = single ? T(5040) : T(6227020800);
#pragma GCC unroll 13
    for (int k = single ? 7 : 13; k > 1; --k) {
      factorial /= T(k);
      p = p * r + 1 / factorial;
    }
    return p * r;
  }

 private:
  typedef int64_t Long __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  typedef int32_t Short __attribute__((vector_size(TCONV_VECTOR_BYTES)));
};

template <class T> using VectorOf = typename Simd<T>::Vector;
template <class T> TCONV_INLINE VectorOf<T> magnitude(VectorOf<T> x) { return x < 0 ? -x : x; }
// Numbers above `most` become it. NaN stays NaN.
template <class T> TCONV_INLINE VectorOf<T> at_most(VectorOf<T> x, T most) {
  return x > most ? most + VectorOf<T>{} : x;
}

// exp(-(x + rest)) for x >= 0, as a product of two numbers, since a result may be normal where this is not:
// exp(r) 2^-kShift, and 2^(n + kShift), which is normal up to kMost. `rest` is small, or absent.
template <class T> struct Decay {
  using Vector = VectorOf<T>;
  static constexpr bool single = sizeof(T) == 4;
  // kMost exp(-kMost) rounds to 0, or to the least number.
  static constexpr T kMost = single ? T(109) : T(760);
  Vector mantissa, power;

  explicit Decay(Vector x) {
    Vector shifted;
    const Vector r = Exponential<T>::reduced(-at_most<T>(x, kMost), shifted);
    set(r, shifted);
  }
  Decay(Vector x, Vector rest) {
    Vector shifted;
    const Vector r = Exponential<T>::reduced(-x, shifted);
    set(r - rest, shifted);
  }
  Vector value() const { return mantissa * power; }
  // In this order, so that a small number keeps its digits.
  Vector times(Vector x) const { return x * power * mantissa; }

 private:
  typedef int64_t Long __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  typedef int32_t Short __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  static constexpr int kShift = single ? 32 : 80;

  void set(Vector r, Vector shifted) {
    constexpr T scale = single ? T(0x1p-32) : T(0x1p-80);
    mantissa = Exponential<T>::series(r) * scale + scale;
    if constexpr (single)
      power = reinterpret_cast<Vector>((reinterpret_cast<Short>(shifted) + (127 + kShift)) << 23);
    else power = reinterpret_cast<Vector>((reinterpret_cast<Long>(shifted) + (1023 + kShift)) << 52);
  }
};

template <class T> TCONV_INLINE VectorOf<T> logistic(VectorOf<T> x) {
  const Exponential<T> e(-x);
  return T(1) / (T(1) + e.power * (T(1) + e.p));
}

// f64: tanh |x| = -m / (2 + m) with m = exp(-2 |x|) - 1, which is exact to the last digits near 0, too. f32:
// x P(x^2) / Q(x^2), fitted to the least maximal relative error up to 9.02, past which tanh rounds to 1:
// 2^-25.5 before rounding.
template <class T> TCONV_INLINE VectorOf<T> hyperbolic_tangent(VectorOf<T> x) {
  using Vector = VectorOf<T>;
  if constexpr (sizeof(T) == 4) {
    const Vector u = x * x;
    const Vector p = (((1.3319070e-8f * u + 2.0583480e-5f) * u + 3.4940345e-3f) * u + 0.13379718f) * u + 1.0f;
    const Vector q = (((7.7620189e-7f * u + 3.2830925e-4f) * u + 2.5871072e-2f) * u + 0.46713033f) * u + 1.0f;
    Vector y = x * p / q;
    y = y > 1 || x > 9.02f ? Vector{} + 1 : y;
    return y < -1 || x < -9.02f ? Vector{} - 1 : y;
  } else {
    const Exponential<T> e(x < 0 ? x + x : -(x + x));
    const auto m = e.power * e.p + (e.power - T(1));
    const auto y = m / (T(2) + m);
    return x < 0 ? y : x == 0 ? x : -y;
  }
}

// alpha (exp(x) - 1) below 0
template <class T> TCONV_INLINE VectorOf<T> elu(VectorOf<T> x, T alpha) {
  const Exponential<T> e(x > 0 ? -x : x);
  return x >= 0 ? x : alpha * (e.power * e.p + (e.power - T(1)));
}

// x from 0 on, and 0 below; minus infinity times 0 is NaN, as it is where a gate multiplies x.
template <class T> TCONV_INLINE VectorOf<T> upper(VectorOf<T> x) { return x < 0 ? x * T(0) : x; }

// x / (1 + exp(-w)) as max(x, 0) - |x| t / (1 + t), t = exp(-|w|); w has the sign of x, and |w| is at least
// Decay's kMost where |x| is `most`.
template <class T> TCONV_INLINE VectorOf<T> gated(VectorOf<T> x, VectorOf<T> w, T most) {
  const Decay<T> t(magnitude<T>(w));
  return upper<T>(x) - t.times(at_most<T>(magnitude<T>(x), most)) / (T(1) + t.value());
}

template <class T> TCONV_INLINE VectorOf<T> silu(VectorOf<T> x) { return gated<T>(x, x, Decay<T>::kMost); }

// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
template <class T> TCONV_INLINE VectorOf<T> gelu_tanh(VectorOf<T> x) {
  const VectorOf<T> w = x * (T(1.59576912160573071176) + T(0.0713548162726002453) * (x * x));
  return gated<T>(x, w, T(sizeof(T) == 4 ? 11 : 22));
}

template <class T> struct Normal;  // of P below: the highest coefficient first; the largest |x|
template <> struct Normal<float> {
  static constexpr float kMost = 14.5f;
  static constexpr float kSeries[] = {1.5741844e-02f, 1.2467318e-02f, -5.0218040e-02f, -5.6377184e-02f,
                                      6.0217705e-02f, 2.4162588e-01f, 3.7304600e-01f,  3.8713667e-01f,
                                      3.0394830e-01f, 1.8882129e-01f};
  static constexpr uint32_t kHigh = 0xfffff000u;
};
template <> struct Normal<double> {
  static constexpr double kMost = 39;
  static constexpr double kSeries[] = {
      -0.0010122350213441524, -3.811335460107945e-05, 0.003650099345752512,  -0.0019108453871827628,
      -0.005005693454575502,  0.005054896713489146,   0.004320173846758625,  -0.008354241346056333,
      -0.0025605410981800673, 0.012121892314651108,   0.0007321657302237285, -0.01799382075277362,
      -0.0004884138321053076, 0.029580136744880154,   0.008534032257219144,  -0.05218619014049151,
      -0.05567507779588053,   0.060321511724744474,   0.24158629956279787,   0.37304371591938834,
      0.38713740074221886,    0.3039483209859459,     0.18882128260393788};
  static constexpr uint64_t kHigh = 0xfffffffff8000000u;
};

// x Phi(x) = max(x, 0) - |x| Phi(-|x|), Phi the distribution function of the normal distribution. Phi(-|x|) =
// exp(-x^2 / 2) t P(t - 1/2), t = 1 / (1 + |x| / 4), where P interpolates Phi / (exp t) in the zeros of a
// Chebyshev polynomial. The square is a sum of two numbers: its rounding would be as large as its last digit
// times the exponent.
template <class T> TCONV_INLINE VectorOf<T> gelu(VectorOf<T> x) {
  using Vector = VectorOf<T>;
  typedef decltype(Normal<T>::kHigh + 0) Bits;
  typedef Bits Word __attribute__((vector_size(TCONV_VECTOR_BYTES)));
  const Vector a = at_most<T>(magnitude<T>(x), Normal<T>::kMost);
  const Vector high = reinterpret_cast<Vector>(reinterpret_cast<Word>(a) & Normal<T>::kHigh);
  const Decay<T> e(high * high * T(0.5), (a + high) * (a - high) * T(0.5));
  const Vector t = T(1) / (T(1) + a * T(0.25)), u = t - T(0.5);
  Vector p = Vector{} + Normal<T>::kSeries[0];
#pragma GCC unroll 22
  for (unsigned k = 1; k < sizeof Normal<T>::kSeries / sizeof(T); ++k) p = p * u + Normal<T>::kSeries[k];
  return upper<T>(x) - e.times(a * (p * t));
}

// log(1 + t) = 2 atanh(s), s = t / (2 + t), for t in [0, 1], as t times a number that is 1 at 0.
template <class T> TCONV_INLINE VectorOf<T> log_of_one_and(VectorOf<T> t) {
  using Vector = VectorOf<T>;
  const Vector h = T(1) / (T(2) + t), s = t * h, u = s * s;
  Vector p;
  if constexpr (sizeof(T) == 4) {
    p = (((1.407889e-01f * u + 1.3982579e-01f) * u + 2.0012298e-01f) * u + 3.333316e-01f) * u + 1.0f;
  } else {
    constexpr double series[] = {0.08244142965694784, 0.03490195249166216, 0.05488308318973747,
                                 0.05857637334055213, 0.06668438407871918, 0.07692223530229984,
                                 0.09090911711247626, 0.11111111059551837, 0.14285714286311463,
                                 0.19999999999996435, 0.3333333333333334,  1.0};
    p = Vector{} + series[0];
#pragma GCC unroll 11
    for (int k = 1; k < 12; ++k) p = p * u + series[k];
  }
  return t * ((h + h) * p);
}

// log(1 + exp(beta x)) / beta, and x itself where beta x exceeds the threshold
template <class T> TCONV_INLINE VectorOf<T> softplus(VectorOf<T> x, T beta, T threshold) {
  const VectorOf<T> w = x * beta;
  const VectorOf<T> log = log_of_one_and<T>(Decay<T>(magnitude<T>(w)).value());
  return w > threshold ? x : ((w > 0 ? w : VectorOf<T>{}) + log) * (T(1) / beta);
}

// x tanh(softplus(x)) = x n / (n + 2) with n = e^x (e^x + 2)
template <class T> TCONV_INLINE VectorOf<T> mish(VectorOf<T> x) {
  const Decay<T> e(magnitude<T>(x));
  const VectorOf<T> t = e.value();
  const VectorOf<T> above = x * ((T(1) + T(2) * t) / (T(1) + T(2) * t * (T(1) + t)));
  const VectorOf<T> below = e.times(x) * (t + T(2)) / (t * (t + T(2)) + T(2));
  return x < -Decay<T>::kMost ? x * T(0) : x < 0 ? below : above;
}

// The last vector overlaps the previous one: it is read before that one is written.
template <class T, class Function> void each_vector(T* row, int64_t count, const Function& function) {
  constexpr int lanes = Simd<T>::lanes;
  if (count >= lanes) {
    const auto last = function(Simd<T>::load(row + count - lanes));
    for (int64_t i = 0; i + lanes < count; i += lanes)
      Simd<T>::store(row + i, function(Simd<T>::load(row + i)));
    Simd<T>::store(row + count - lanes, last);
  } else {
    T some[lanes] = {};
    for (int64_t i = 0; i < count; ++i) some[i] = row[i];
    Simd<T>::store(some, function(Simd<T>::load(some)));
    for (int64_t i = 0; i < count; ++i) row[i] = some[i];
  }
}

// Calls with(function) where an activation is a comparison or two, which loops apply to each number, and
// returns whether it is.
template <class T, class With> bool with_simple(const ActivationOf<T>& last, const With& with) {
  switch (last.what) {
    case Activation::none: with(Same{}); return true;
    case Activation::relu: with(Clamp<T>{T(0), static_cast<T>(__builtin_inf())}); return true;
    case Activation::clamp: with(Clamp<T>{last.first, last.second}); return true;
    case Activation::leaky_relu: with(Leaky<T>{last.first}); return true;
    case Activation::hardswish: with(HardSwish<T>{}); return true;
    default: return false;
  }
}

template <class T> void activate(T* row, int64_t count, const ActivationOf<T>& last) {
  if (last.what == Activation::none) return;
  const bool done = with_simple(last, [&](auto function) {
    for (int64_t i = 0; i < count; ++i) row[i] = function(row[i]);
  });
  if (done) return;
  const T a = last.first, b = last.second;
  switch (last.what) {
    case Activation::tanh: return each_vector(row, count, [](auto x) { return hyperbolic_tangent<T>(x); });
    case Activation::sigmoid: return each_vector(row, count, [](auto x) { return logistic<T>(x); });
    case Activation::gelu: return each_vector(row, count, [](auto x) { return gelu<T>(x); });
    case Activation::gelu_tanh: return each_vector(row, count, [](auto x) { return gelu_tanh<T>(x); });
    case Activation::silu: return each_vector(row, count, [](auto x) { return silu<T>(x); });
    case Activation::elu: return each_vector(row, count, [=](auto x) { return elu<T>(x, a); });
    case Activation::softplus: return each_vector(row, count, [=](auto x) { return softplus<T>(x, a, b); });
    case Activation::mish: return each_vector(row, count, [](auto x) { return mish<T>(x); });
    case Activation::prelu:  // a row of channels
      for (int64_t i = 0; i < count; ++i) row[i] = row[i] < 0 ? row[i] * T(last.slopes[i]) : row[i];
      return;
    default: return;  // done above
  }
}

}  // namespace
}  // namespace tconv
