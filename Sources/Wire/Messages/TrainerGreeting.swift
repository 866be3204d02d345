import Failures

/// How a trainer introduces itself.
package struct TrainerGreeting: Sendable, Equatable, Codable {
  package var software: String
  /// OpenBLAS' kernel in use, for the owner's log.
  package var kernel: String
  package var threads: Int
  /// Bytes of memory a job may take.
  package var memoryLimit: Int

  package init(software: String, kernel: String, threads: Int, memoryLimit: Int) {
    self.software = software
    self.kernel = kernel
    self.threads = threads
    self.memoryLimit = memoryLimit
  }

  /// The greeting with its texts as they may be shown.
  var printable: TrainerGreeting {
    TrainerGreeting(
      software: software.printable(limit: WireLimits.nameLength),
      kernel: kernel.printable(limit: WireLimits.nameLength),
      threads: threads, memoryLimit: memoryLimit)
  }
}
