#include "CKernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

// arch_prctl's request for a part of the processor's state that a program must ask for, and the number of the tiles' data among them
// (Linux, Documentation/arch/x86/xstate.rst).
#define REQUEST_STATE 0x1023
#define TILE_DATA 18

// Tiles and their products of bfloat16, and both parts of their state saved by the operating system and granted to this process.
static bool has_tiles(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return false;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned products = 1u << 22, tiles = 1u << 24;
  if ((d & products) == 0 || (d & tiles) == 0) return false;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const unsigned state = 3u << 17;
  return (low & state) == state && syscall(SYS_arch_prctl, REQUEST_STATE, TILE_DATA) == 0;
}
#else
static bool has_tiles(void) { return false; }
#endif

uint32_t ckernels_processor_features(void) {
  uint32_t features = 0;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) features |= CKERNELS_AVX2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    features |= CKERNELS_AVX512;
  if ((features & CKERNELS_AVX512) && (features & CKERNELS_AVX2) && __builtin_cpu_supports("avx512bf16"))
    features |= CKERNELS_AVX512_BF16;
  if ((features & CKERNELS_AVX512_BF16) && has_tiles()) features |= CKERNELS_AMX_BF16;
#endif
  return features;
}
