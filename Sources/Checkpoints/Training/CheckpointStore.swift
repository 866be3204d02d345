import Tensors

/// A directory of one job's checkpoints, one file a step. Plain files and rename, for one writing process.
package struct CheckpointStore: Sendable {
  package let directory: String

  /// Makes the directory where it does not exist and removes what a killed process left half-written.
  package init(directory: String) throws(CheckpointError) {
    try Directory.create(directory)
    try AtomicFile.removeLeftovers(in: directory)
    self.directory = directory
  }

  /// A directory that exists, which another thread may be writing to at this moment: nothing in it is removed.
  package init(existing directory: String) {
    self.directory = directory
  }

  /// Steps with a checkpoint, smallest first.
  package func steps() throws(CheckpointError) -> [Int] {
    try Directory.names(in: directory).compactMap(Self.step).sorted()
  }

  /// Writes the checkpoint of its step, replacing one that is there.
  package func save<Element>(_ checkpoint: TrainingCheckpoint<Element>) throws(CheckpointError) {
    try checkpoint.write(to: path(checkpoint.step))
  }

  /// - Throws: as `TrainingCheckpoint.read`; `.checkpoint(.noSuchStep)`, also for a file that carries another step than its
  ///   name.
  package func load<Element>(
    step: Int, as type: Element.Type = Element.self, jobDigest: String, parameters: [TensorDescription],
    optimizerState: [TensorDescription]
  ) throws(CheckpointError) -> TrainingCheckpoint<Element> {
    let path = path(step)
    guard try steps().contains(step) else { throw .checkpoint(path: path, .noSuchStep(step)) }
    let checkpoint = try TrainingCheckpoint<Element>.read(
      from: path, jobDigest: jobDigest, parameters: parameters, optimizerState: optimizerState)
    guard checkpoint.step == step else { throw .checkpoint(path: path, .noSuchStep(step)) }
    return checkpoint
  }

  /// Removes the checkpoints of steps below `step`.
  package func removeAll(before step: Int) throws(CheckpointError) {
    for old in try steps() where old < step { try Directory.remove(path(old)) }
  }

  /// Where the checkpoint of a step is kept: `checkpoint-000000123.safetensors`.
  package func path(_ step: Int) -> String {
    let digits = String(step)
    return directory + "/" + Self.prefix + String(repeating: "0", count: max(0, 9 - digits.count)) + digits
      + Self.suffix
  }

  private static let prefix = "checkpoint-"
  private static let suffix = ".safetensors"

  /// The step a file name stands for; nil for any other file.
  private static func step(_ name: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix) else { return nil }
    let digits = name.dropFirst(prefix.count).dropLast(suffix.count)
    guard digits.utf8.count >= 9, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    // Written without more zeros than needed, so that one step has one name.
    return digits.utf8.count > 9 && digits.first == "0" ? nil : Int(digits)
  }
}
