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
}
