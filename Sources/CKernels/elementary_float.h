// Elementary functions in single precision, free of branches and calls so that loops over them vectorise.
//
// Polynomials are weighted minimax fits (relative error of the function below 5e-9, against 6e-8 for half a unit in the
// last place), evaluated by Horner's rule. Errors are measured against libm in double by the tests.
#ifndef CKERNELS_ELEMENTARY_FLOAT_H
#define CKERNELS_ELEMENTARY_FLOAT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "multiversion.h"

INLINE int32_t bits_of(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

INLINE float float_of(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// exp(x + low), |low| ≪ |x| or both small: `low` carries bits of an argument that `x` alone cannot hold.
INLINE float exp_of_sum_float(float x, float low) {
  // Beyond these the result is 0 or infinite; clamped so that the exponent arithmetic below stays in range. NaN passes.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // n = round(x / log 2): adding 1.5·2²³ leaves n in the low mantissa bits.
  const float shifter = 12582912.0f;
  float shifted = x * 1.44269504f + shifter;
  float n = shifted - shifter;
  int32_t exponent = bits_of(shifted) - bits_of(shifter);
  // log 2 in two parts; the first has 15 bits, so n times it is exact.
  float r = (x - n * 0.693145752f) - n * 1.42860677e-6f + low;
  float p = 0.0013814568816807f;
  p = p * r + 0.0083687303952143f;
  p = p * r + 0.0416683893831307f;
  p = p * r + 0.1666652051980603f;
  p = p * r + 0.4999999344017857f;
  p = (p * r) * r + r + 1.0f;
  // 2ⁿ in two factors: n reaches 128 and −150, past the exponents of normal numbers.
  int32_t half = exponent >> 1;
  return p * float_of((half + 127) << 23) * float_of((exponent - half + 127) << 23);
}

INLINE float exp_float(float x) { return exp_of_sum_float(x, 0.0f); }

// exp(x) for x ≤ 0, and for what rounding puts a little above; below −87, where the result would leave the normal numbers, it is
// that of −87 (1.6e-38). NaN passes.
INLINE float exp_of_weight_float(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float shifter = 12582912.0f;
  float shifted = x * 1.44269504f + shifter;
  float n = shifted - shifter;
  float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 0.0013814568816807f;
  p = p * r + 0.0083687303952143f;
  p = p * r + 0.0416683893831307f;
  p = p * r + 0.1666652051980603f;
  p = p * r + 0.4999999344017857f;
  p = (p * r) * r + r + 1.0f;
  return p * float_of((bits_of(shifted) - bits_of(shifter) + 127) << 23);
}

INLINE float tanh_float(float x) {
  float magnitude = fabsf(x);
  // Near 0: x + x³ P(x²).
  float square = x * x;
  float p = -0.0057170365610327f;
  p = p * square + 0.0206505790034472f;
  p = p * square - 0.0537434952613078f;
  p = p * square + 0.1333149124851408f;
  p = p * square - 0.3333328392359073f;
  float near = x + (x * square) * p;
  // Elsewhere: 1 − 2 / (exp(2|x|) + 1), with the sign of x.
  float far = copysignf(1.0f - 2.0f / (exp_float(2.0f * magnitude) + 1.0f), x);
  return magnitude < 0.625f ? near : far;
}

INLINE float logistic_float(float x) { return 1.0f / (1.0f + exp_float(-x)); }

// The normal distribution function Φ(x); also √(2π) times its density, exp(−x²/2).
//
// Φ(−a) = exp(−a²/2) R(a) for a ≥ 0, where R(a) = erfcx(a/√2)/2 is smooth: R(a)·(a + 4) is a polynomial in
// (a − 4)/(a + 4). The lower tail is accurate relative to itself, because nothing is subtracted from 1.
INLINE float normal_distribution_float(float x, float *density) {
  float a = fabsf(x);
  a = a > 14.5f ? 14.5f : a;
  // a²/2 = upper²/2 + (a − upper)(a + upper)/2; `upper` keeps 12 bits, so its square is exact.
  float upper = float_of(bits_of(a) & (int32_t)0xfffff000);
  float e = exp_of_sum_float(-0.5f * upper * upper, -0.5f * (a - upper) * (a + upper));
  float inverse = 1.0f / (a + 4.0f);
  float v = (a - 4.0f) * inverse;
  float p = -4.6319169097651864e-05f;
  p = p * v - 0.00022205837330374595f;
  p = p * v + 0.00017094034607224948f;
  p = p * v + 0.001637088395004179f;
  p = p * v - 0.003491296727501823f;
  p = p * v - 0.00754290580046472f;
  p = p * v + 0.06039814811125469f;
  p = p * v - 0.18652155446185312f;
  p = p * v + 0.3871373185931527f;
  p = p * v - 0.6078966497811928f;
  p = p * v + 0.7552851311610582f;
  float lower = e * (p * inverse);
  *density = e;
  float outer = x < 0.0f ? lower : 1.0f - lower;
  // Near 0: ½ + x P(x²), whose rounding errors are smaller there. NaN fails both comparisons and ends in `outer`.
  float square = x * x;
  float q = -7.530482071284424e-06f;
  q = q * square + 0.00011314415951620745f;
  q = q * square - 0.0011859852524019983f;
  q = q * square + 0.009973171200028563f;
  q = q * square - 0.06649033240335199f;
  q = q * square + 0.3989422787175135f;
  float inner = 0.5f + x * q;
  return a < 0.8f ? inner : outer;
}

// log(1 + u) for 0 ≤ u ≤ 1: 2 atanh(s), s = u / (2 + u) ≤ 1/3.
INLINE float log1p_of_unit_float(float u) {
  float s = u / (2.0f + u);
  float square = s * s;
  float p = 0.14012232824842752f;
  p = p * square + 0.1399956970325324f;
  p = p * square + 0.20010849594368021f;
  p = p * square + 0.33333206564805f;
  return 2.0f * (s + (s * square) * p);
}

INLINE float sqrt_float(float x) { return sqrtf(x); }
INLINE float fabs_float(float x) { return fabsf(x); }

#endif
