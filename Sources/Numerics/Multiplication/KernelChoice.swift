import CKernels
import Foundation

/// Which of OpenBLAS's kernels this process multiplies with, and why that one.
///
/// OpenBLAS takes a kernel from a table of processor models when it is loaded. For a model that the table lacks it takes one for
/// 128-bit vectors, which is 5 to 15 times slower on a processor with AVX2 or AVX-512. Its variable `OPENBLAS_CORETYPE` overrides the
/// table, but is read only while the library is loaded, so a program that finds such a kernel starts itself again with the variable set.
package struct KernelChoice: Sendable, Equatable {
  /// Who chose the kernel.
  package enum Origin: Sendable, Equatable {
    /// OpenBLAS's own table.
    case library
    /// The user, by `OPENBLAS_CORETYPE`.
    case user(String)
    /// This program, by the processor's features, where OpenBLAS would have taken another.
    case features(insteadOf: String)
  }

  enum Decision: Equatable {
    case keep(Origin)
    /// Start the program again with this kernel.
    case restart(kernel: String)
  }

  static let libraryVariable = "OPENBLAS_CORETYPE"
  /// Set together with `libraryVariable` by a program that starts itself again, so that it knows the value for its own.
  static let originVariable = "EQUIVARIANT_KERNEL_ORIGIN"
  private static let separator = " instead of "

  /// The kernel in use, as OpenBLAS names it: "SkylakeX", "Haswell".
  package let kernel: String
  package let origin: Origin
  let features: ProcessorFeatures

  /// A value that the user set is never overridden, and a restarted program keeps what it was restarted with, so that a program
  /// restarts at most once. An empty variable counts as not set, as it does for OpenBLAS.
  static func decide(
    features: ProcessorFeatures, libraryKernel: String, environment: [String: String]
  ) -> Decision {
    if let forced = environment[libraryVariable], !forced.isEmpty {
      let own = environment[originVariable].flatMap { $0.hasPrefix(forced + separator) ? $0 : nil }
      return .keep(own.map { .features(insteadOf: String($0.dropFirst((forced + separator).count))) } ?? .user(forced))
    }
    guard VectorWidth.used(byKernel: libraryKernel) < features.vectorWidth, let kernel = features.widestKernel else {
      return .keep(.library)
    }
    return .restart(kernel: kernel)
  }

  init(kernel: String, features: ProcessorFeatures, environment: [String: String]) {
    self.kernel = kernel
    self.features = features
    origin =
      switch Self.decide(features: features, libraryKernel: kernel, environment: environment) {
      case .keep(let origin): origin
      case .restart: .library
      }
  }

  package static let ofThisProcess = KernelChoice(
    kernel: OpenBLAS.kernelName, features: .ofThisProcess, environment: ProcessInfo.processInfo.environment)

  /// Starts this program again when OpenBLAS chose a kernel that leaves the processor's vectors unused: same process number, arguments,
  /// open files, working directory and signal dispositions. Returns when the kernel is to be kept, or when the system does not let the
  /// program start again; `advice` then says what is lost.
  ///
  /// Call it first in `main`: nothing may be open, printed or running yet.
  /// - Throws: `KernelError.wrongProduct` when a kernel that this program chose does not multiply rightly.
  package static func restartIfNeeded() throws(KernelError) {
    let environment = ProcessInfo.processInfo.environment
    let libraryKernel = OpenBLAS.kernelName
    switch decide(features: .ofThisProcess, libraryKernel: libraryKernel, environment: environment) {
    case .keep(.features): try ProductCheck.run()
    case .keep: break
    case .restart(let kernel):
      guard let program = pathOfThisProgram else { return }
      setenv(libraryVariable, kernel, 1)
      setenv(originVariable, kernel + separator + libraryKernel, 1)
      execv(program, CommandLine.unsafeArgv)
      // Not started: on with the kernel that is loaded.
      unsetenv(libraryVariable)
      unsetenv(originVariable)
    }
  }

  /// The file itself, so that the process keeps its name; the link in /proc where the file has been replaced since.
  private static var pathOfThisProgram: String? {
    let link = "/proc/self/exe"
    guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: link) else { return nil }
    return access(path, X_OK) == 0 ? path : link
  }

  /// In a few words, for logs and progress: "SkylakeX, chosen by the processor's features instead of Prescott".
  package var summary: String {
    switch origin {
    case .library: kernel
    case .user: "\(kernel), set by \(Self.libraryVariable)"
    case .features(let replaced): "\(kernel), chosen by the processor's features instead of \(replaced)"
    }
  }

  /// One sentence when the kernel leaves the processor's vector width unused; nil when it does not.
  package var advice: String? {
    guard VectorWidth.used(byKernel: kernel) < features.vectorWidth else { return nil }
    let remedy =
      if case .user(let forced) = origin {
        "\(Self.libraryVariable)=\(forced) forces it; unset the variable"
      } else {
        "install a newer OpenBLAS that knows this processor"
      }
    return
      "OpenBLAS multiplies with its \(kernel) kernel, but this processor has \(features.vectorWidth.rawValue)-bit vectors: "
      + remedy
  }
}

/// The vector instructions that matter for products, where the operating system lets programs use them.
struct ProcessorFeatures: OptionSet, Sendable {
  let rawValue: UInt32

  /// AVX2 and FMA.
  static let avx2 = ProcessorFeatures(rawValue: UInt32(CKERNELS_AVX2.rawValue))
  /// AVX-512 F, CD, BW, DQ and VL: all that OpenBLAS's kernels for a Skylake server are compiled for.
  static let avx512 = ProcessorFeatures(rawValue: UInt32(CKERNELS_AVX512.rawValue))
  /// Both, and products of bfloat16 pairs.
  static let avx512BFloat16 = ProcessorFeatures(rawValue: UInt32(CKERNELS_AVX512_BF16.rawValue)).union([.avx2, .avx512])
  /// All of them, and tiles.
  static let amx = ProcessorFeatures(rawValue: UInt32(CKERNELS_AMX_BF16.rawValue)).union(.avx512BFloat16)

  static let ofThisProcess = ProcessorFeatures(rawValue: ckernels_processor_features())

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
