import CKernels

/// The vector instructions that matter for products, where the operating system lets programs use them.
struct ProcessorFeatures: OptionSet, Sendable {
  let rawValue: UInt32

  /// AVX2 and FMA.
  static let avx2 = ProcessorFeatures(rawValue: UInt32(CKERNELS_AVX2.rawValue))
  /// AVX-512 F, CD, BW, DQ and VL: all that OpenBLAS's kernels for a Skylake server are compiled for.
  static let avx512 = ProcessorFeatures(rawValue: UInt32(CKERNELS_AVX512.rawValue))

  static var ofThisProcessor: ProcessorFeatures { ProcessorFeatures(rawValue: ckernels_processor_features()) }

  var vectorWidth: VectorWidth {
    contains(.avx512) ? .bits512 : contains(.avx2) ? .bits256 : .bits128
  }

  /// OpenBLAS's name for its kernel with the widest vectors that these features allow; nil when there is nothing to choose.
  var widestKernel: String? {
    contains(.avx512) ? "SkylakeX" : contains(.avx2) ? "Haswell" : nil
  }
}

/// Bits of the floating-point vectors a processor has or a BLAS kernel uses.
enum VectorWidth: Int, Comparable {
  case bits128 = 128
  case bits256 = 256
  case bits512 = 512

  /// The width OpenBLAS's kernel of that name is written for; a kernel not known here counts as the widest, so that it is kept.
  static func used(byKernel name: String) -> VectorWidth {
    switch name.lowercased() {
    case "prescott", "core2", "penryn", "dunnington", "atom", "nehalem", "opteron", "opteron_sse3", "barcelona",
      "bobcat", "katmai", "coppermine", "northwood", "banias", "nano", "athlon", "generic":
      .bits128
    case "sandybridge", "haswell", "zen", "excavator", "steamroller", "piledriver", "bulldozer":
      .bits256
    default:
      .bits512
    }
  }

  static func < (left: VectorWidth, right: VectorWidth) -> Bool {
    left.rawValue < right.rawValue
  }
}
