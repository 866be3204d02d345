// One portable binary, every processor's vector width: the loader picks the best clone of each kernel at start.
#ifndef CKERNELS_MULTIVERSION_H
#define CKERNELS_MULTIVERSION_H

#if defined(__x86_64__) && defined(__linux__)
#define MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MULTIVERSION
#endif

// Helpers must be inlined into each clone to be compiled for it.
#define INLINE static inline __attribute__((always_inline))

#endif
