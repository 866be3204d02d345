import CKernels

/// Bits of the floating-point vectors a processor has or a BLAS kernel uses.
enum VectorWidth: Int, Comparable {
  case bits128 = 128
  case bits256 = 256
  case bits512 = 512

  static var ofThisProcessor: VectorWidth {
    VectorWidth(rawValue: Int(ckernels_vector_bits())) ?? .bits128
  }

  /// The width OpenBLAS's kernel of that name is written for; a kernel not known here counts as the widest, so that no
  /// advice is given about it.
  static func used(byKernel name: String) -> VectorWidth {
    switch name.lowercased() {
    case "prescott", "core2", "penryn", "dunnington", "atom", "nehalem", "opteron", "opteron_sse3", "barcelona",
      "bobcat", "katmai", "coppermine", "northwood", "banias", "nano", "generic":
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
