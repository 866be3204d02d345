import Models
package import Numerics
import Protocol
import Training

/// What a job's products are computed with. Its bits depend on sizes and on this alone, so that it is kept with the job.
package struct JobKernel: Sendable, Equatable, Codable {
  /// The kernel of OpenBLAS, of products of floats: "Haswell". Every job has such: optimizers multiply nothing else.
  package let openBLAS: String
  /// Of products of bfloat16 numbers, as `KernelPath` names it; nil for a job that has none.
  package let path: String?

  package init(openBLAS: String, path: KernelPath?) {
    self.openBLAS = openBLAS
    self.path = path?.rawValue
  }

  /// In a few words, for people: "AVX2, OpenBLAS Haswell".
  package var text: String { (path.map { "\($0), " } ?? "") + "OpenBLAS \(openBLAS)" }
}

/// The kernels that this process can multiply with.
package struct AvailableKernels: Sendable {
  /// OpenBLAS has one for the whole process.
  package let openBLAS: String
  /// Of bfloat16 products, the fastest first; at least one.
  package let paths: [KernelPath]
  private let library: @Sendable (KernelPath) -> any ProductLibrary

  /// By default what the processor has.
  ///
  /// - Parameters:
  ///   - paths: the fastest first.
  ///   - library: computes the bfloat16 products of one of `paths`.
  package init(
    openBLAS: String = OpenBLAS.kernelName, paths: [KernelPath] = KernelPath.allCases.filter(\.isAvailable),
    library: @escaping @Sendable (KernelPath) -> any ProductLibrary = { PackedKernels(path: $0) }
  ) {
    self.openBLAS = openBLAS
    self.paths = paths
    self.library = library
  }

  /// The fastest, for people and for what ranks agree on.
  package var text: String { JobKernel(openBLAS: openBLAS, path: best).text }

  private var best: KernelPath { paths.first ?? .portable }

  /// What a job begins with here.
  func kernel(for precision: TrainingPrecision) -> JobKernel {
    switch precision {
    case .float32: JobKernel(openBLAS: openBLAS, path: nil)
    // Without instructions that make it faster it is float32.
    case .bfloat16x3: JobKernel(openBLAS: openBLAS, path: best.acceleratesThreeParts ? best : nil)
    case .bfloat16: JobKernel(openBLAS: openBLAS, path: best)
    }
  }

  /// Whether a job that began with this kernel has the same bits here.
  func has(_ kernel: JobKernel) -> Bool {
    kernel.openBLAS == openBLAS && kernel.path.map { path in paths.contains { $0.rawValue == path } } ?? true
  }

  /// Why a job that began with another kernel does not go on here, and what can be done.
  func refusal(of kernel: JobKernel, _ precision: TrainingPrecision) -> String {
    "the job began with the kernel \(kernel.text), and this trainer multiplies with \(self.kernel(for: precision).text), whose results differ in "
      + "their last bits; resume it on a processor like the first, or have the operator start the trainer with --allow-other-kernel"
  }

  /// What multiplies for a job.
  ///
  /// - Parameter kernel: one that `has` is true of, which may be slower than the fastest; nil for the one that a job begins with.
  func compute(_ workers: Workers, for precision: TrainingPrecision, kernel: JobKernel? = nil) -> Compute {
    let kernel = kernel ?? self.kernel(for: precision)
    guard let path = kernel.path.flatMap(KernelPath.init(rawValue:)) else { return Compute(workers: workers) }
    return Compute(workers: workers, library: library(path), precision: precision.products)
  }
}

extension JobDescription {
  /// What multiplies for the job on this processor, for counting its memory: packed weights take about the same on every path.
  var computeOfEstimates: Compute { Compute(threads: 1).computing(in: precision) }
}
