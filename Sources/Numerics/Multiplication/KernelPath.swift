import CKernels

/// The instructions that bfloat16 products are computed by; every processor has at least the last.
package enum KernelPath: String, Sendable, CaseIterable {
  /// Tiles of bfloat16 pairs (Intel, 2023 on).
  case amx = "AMX"
  /// Vectors of bfloat16 pairs.
  case avx512BFloat16 = "AVX512-BF16"
  /// bfloat16 numbers widened to float, in vectors of 512 bits.
  case avx512 = "AVX-512"
  /// The same in vectors of 256 bits.
  case avx2 = "AVX2"
  /// The same in whatever the compiler makes of loops in C.
  case portable

  /// The first that a processor of these features has.
  static func best(of features: ProcessorFeatures) -> KernelPath {
    allCases.first { features.isSuperset(of: $0.requirement) } ?? .portable
  }

  package static let ofThisProcessor = best(of: .ofThisProcess)

  /// Whether this processor has the instructions.
  package var isAvailable: Bool { ProcessorFeatures.ofThisProcess.isSuperset(of: requirement) }

  /// Whether three products of bfloat16 parts take less time than one of floats: of the paths, tiles alone are more than three times as
  /// fast as vectors of floats on the same processor.
  package var acceleratesThreeParts: Bool { self == .amx }

  private var requirement: ProcessorFeatures {
    switch self {
    case .amx: .amx
    case .avx512BFloat16: .avx512BFloat16
    case .avx512: [.avx512, .avx2]
    case .avx2: .avx2
    case .portable: []
    }
  }

  /// The instructions themselves.
  var instructions: ckernels_product_path {
    switch self {
    case .amx: CKERNELS_PRODUCT_AMX
    case .avx512BFloat16: CKERNELS_PRODUCT_AVX512_BF16
    case .avx512: CKERNELS_PRODUCT_AVX512
    case .avx2: CKERNELS_PRODUCT_AVX2
    case .portable: CKERNELS_PRODUCT_PORTABLE
    }
  }

  /// Loops in plain C that give the same bits on any processor, slowly. The portable path's are fused where its own are not, which shows
  /// only in products beyond the range of floats.
  var emulation: ckernels_product_path {
    switch self {
    case .amx: CKERNELS_PRODUCT_EMULATED_AMX
    case .avx512BFloat16: CKERNELS_PRODUCT_EMULATED_AVX512_BF16
    case .avx512, .avx2, .portable: CKERNELS_PRODUCT_EMULATED_FMA
    }
  }
}
