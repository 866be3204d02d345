import Files
import Foundation
import Foundations
import Models
import Protocol
import Service

/// `kernel.json` in a job's folder: what the job has been multiplied with, from which step on.
///
/// A job of a store from before this was kept has none, and goes on as it did: from then on it is kept.
struct KernelHistory {
  private static let fileName = "kernel.json"
  private static let currentVersion = 1

  private struct Use: Codable {
    /// Steps done before.
    var step: Int
    var kernel: JobKernel
  }

  private struct Record: Codable {
    var version = currentVersion
    var uses: [Use]
  }

  private let file: String
  private let job: TrainingJob?
  private var uses: [Use]

  /// Of a job that is to be run.
  ///
  /// - Throws: `ServiceError` for a file that is damaged or of a later version; `FileError`.
  init(of job: TrainingJob, in folder: URL) throws {
    try self.init(folder, job)
  }

  /// Only to be read.
  ///
  /// - Throws: as above.
  init(in folder: URL) throws {
    try self.init(folder, nil)
  }

  private init(_ folder: URL, _ job: TrainingJob?) throws {
    self.job = job
    file = folder.appending(path: Self.fileName).path
    guard let bytes = try SmallFile.read(file) else {
      uses = []
      return
    }
    guard let record = try? JSONDecoder().decode(Record.self, from: bytes), record.version == Self.currentVersion else {
      throw ServiceError(
        .refused, "\(file) is damaged, or of a later version",
        told:
          "what the trainer has stored of this job is damaged (\(Self.fileName)); ask its operator to restore that file"
      )
    }
    uses = record.uses
  }

  /// As the job's owner is told.
  var told: [KernelUse] {
    uses.suffix(KernelUse.maximumCount).map { KernelUse(step: $0.step, kernel: $0.kernel.text) }
  }

  /// What the job goes on with after `step` steps, and what it had before where that is another. It is written down before anything is computed
  /// with it.
  ///
  /// - Throws: `ServiceError` of kind `.refused` with both names, where the job's kernel is not here and no other is allowed; `FileError`.
  func use(
    from step: Int, _ configuration: TrainerConfiguration
  ) throws -> (kernel: JobKernel, insteadOf: JobKernel?) {
    guard let job else { throw ServiceError(.defect, "a job's kernel is chosen where it is only read") }
    let (kernels, precision) = (configuration.kernels, job.description.precision)
    let present = kernels.kernel(for: precision)
    // Nobody goes on with an inference.
    guard job.description.purpose == .training else { return (present, nil) }
    guard let last = uses.last, step > 0 else {
      try write([Use(step: step, kernel: present)])
      return (present, nil)
    }
    if kernels.has(last.kernel) {
      // Steps from before it came into use are taken again with it.
      if last.step > step { try write(uses.filter { $0.step < step } + [Use(step: step, kernel: last.kernel)]) }
      return (last.kernel, nil)
    }
    guard configuration.allowsOtherKernel else {
      throw ServiceError.refused(kernels.refusal(of: last.kernel, precision))
    }
    // Steps that are taken again are taken with this one.
    try write(uses.filter { $0.step < step } + [Use(step: step, kernel: present)])
    configuration.service.eventLog?.note(
      LoggedEvent(
        .kernelChanged, owner: OwnerKey(z85: job.owner), job: job.id,
        reason: "from step \(step) on with \(present.text) instead of \(last.kernel.text)"))
    return (present, last.kernel)
  }

  private func write(_ uses: [Use]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(Record(uses: uses.suffix(KernelUse.maximumCount))), to: file)
  }
}
