// Passes between numbers of 16 and of 32 bits.
#include "bfloat16.h"

#include "multiversion.h"

uint16_t ckernels_bfloat16_of(float x) { return (uint16_t)rounded_to_bfloat16(x, false); }

MULTIVERSION void ckernels_round_to_bfloat16(size_t count, const float *restrict x, uint16_t *restrict y) {
  for (size_t i = 0; i < count; ++i) y[i] = (uint16_t)rounded_to_bfloat16(x[i], false);
}

MULTIVERSION void ckernels_widen_bfloat16(size_t count, const uint16_t *restrict x, float *restrict y) {
  for (size_t i = 0; i < count; ++i) y[i] = number_of_bits((uint32_t)x[i] << 16);
}

// Counted per block, so that a bad array is left early.
MULTIVERSION bool ckernels_all_finite_bfloat16(size_t count, const uint16_t *x) {
  const size_t block = 4096;
  for (size_t first = 0; first < count; first += block) {
    size_t end = count - first < block ? count : first + block;
    uint16_t bad = 0;
    for (size_t i = first; i < end; ++i) bad |= (x[i] & 0x7f80) == 0x7f80 ? 1 : 0;
    if (bad) return false;
  }
  return true;
}
