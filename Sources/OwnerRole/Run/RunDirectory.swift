import Foundations
import Models
import Files
import Datasets
package import Foundation
import JobSpec
package import Masking
import Numerics
import Protocol

/// The files of a run. Weights, history and plan are plaintext: every file is its owner's alone (0600), and so are the directories in it.
package struct RunDirectory: Sendable {
  package let root: URL

  package init(root: URL) {
    self.root = root
  }

  package var resolvedJob: URL { root.appending(path: "job.resolved.yaml") }
  package var plan: URL { root.appending(path: "plan.h5") }
  package var initialWeights: URL { root.appending(path: "initial.safetensors") }
  package var history: URL { root.appending(path: "history.jsonl") }
  /// Of a private run: its steps as they are counted, and what they have spent in the end.
  package var ledger: URL { root.appending(path: "ledger.jsonl") }
  package var privacy: URL { root.appending(path: "privacy.json") }
  package var summary: URL { root.appending(path: "summary.json") }
  /// Names of columns, classes and rows.
  package var names: URL { root.appending(path: "names.json") }
  package var model: URL { root.appending(path: "model") }
  /// The trained weights as the trainer had them, of a result that was retrieved masked.
  package var maskedWeights: URL { root.appending(path: "masked.safetensors") }
  package var state: URL { root.appending(path: "state") }
  package var jobKey: URL { state.appending(path: "job.key") }
  package var runState: URL { state.appending(path: "run.json") }
  /// What the run was trained on, as hashes.
  package var dataDigest: URL { state.appending(path: "data.json") }
  package var standardization: URL { state.appending(path: "standardization.safetensors") }

  var lease: LeasePlace { LeasePlace(directory: state, file: "run.lease", subject: "the run") }

  /// Which site's run it is, where it is a site's and not a job's.
  package var siteIdentity: URL { state.appending(path: "site.json") }
  var isOfSite: Bool { FileManager.default.fileExists(atPath: siteIdentity.path) }

  package var exists: Bool { FileManager.default.fileExists(atPath: runState.path) }

  /// Creates the directory and its `state`, readable by this user alone.
  ///
  /// - Throws: `OwnerError.run` when something else is there already; `.openToOthers` for an existing directory that others can write
  ///   to; `FileError` when it cannot be made.
  package func create() throws {
    try checkPlace()
    let manager = FileManager.default
    if let entries = try? manager.contentsOfDirectory(atPath: root.path), !entries.isEmpty {
      if exists {
        throw OwnerError.run("\(root.path) already holds a run; continue it with --resume, or choose another --out")
      }
      try RunLease.checkFree(self)
      if entries == [state.lastPathComponent], holdsNoState { return }
      throw OwnerError.run("\(root.path) is not empty and holds no run; choose another --out")
    }
    var status = stat()
    // In a sticky directory others cannot exchange what is not theirs.
    if stat(root.path, &status) == 0, status.st_mode & (S_IWGRP | S_IWOTH) != 0, status.st_mode & S_ISVTX == 0 {
      throw OwnerError.openToOthers(
        "\(root.path) can be written to by other users, who could exchange the run's files; chmod go-w it, or choose another --out"
      )
    }
    try Directory.create(state.path)
  }

  /// Whether `state` is what a process has made that ended before it wrote anything of a run.
  private var holdsNoState: Bool {
    guard let names = try? Directory.names(in: state.path) else { return false }
    return names.allSatisfy { $0.hasPrefix(lease.file) || AtomicFile.isTemporaryName($0) }
  }

  /// - Throws: `OwnerError.run` where the path, or one above it, is something else than a directory.
  package func checkPlace() throws {
    var status = stat()
    let isThere = stat(root.path, &status) == 0
    guard isThere ? status.st_mode & S_IFMT == S_IFDIR : errno != ENOTDIR else {
      throw OwnerError.run("\(root.path) is no directory and cannot become one; choose another --out")
    }
  }

  /// Closes to other users what an older version left open to them: files become 0600, directories 0700. The job's key stays as it is:
  /// one that others could read is refused when it is read, not silently closed.
  ///
  /// - Throws: `FileError` where permissions cannot be changed.
  func makePrivate() throws(FileError) {
    try Directory.makePrivate(root.path, except: jobKey.path)
  }
}

/// The JSON files of a run, written atomically: sorted keys; NaN and infinities as text.
package enum RunFile {
  /// - Throws: `FileError` of kind `.exhausted` when the disk is full.
  package static func write(_ value: some Encodable, to file: URL) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try AtomicFile.write(try encoder.encode(value), to: file.path)
  }

  /// - Parameters:
  ///   - limit: bytes that the file has at most.
  ///   - isKnown: whether the value has a form that this version knows.
  /// - Returns: nil when there is no such file.
  /// - Throws: `OwnerError.run` when it cannot be decoded; `FileError` when it cannot be read.
  package static func read<Value: Decodable>(
    _ type: Value.Type, from file: URL, limit: Int = 1 << 20, isKnown: (Value) -> Bool = { _ in true }
  ) throws -> Value? {
    guard let bytes = try SmallFile.read(file.path, limit: limit) else { return nil }
    guard let value = try? JSONDecoder().decode(type, from: bytes), isKnown(value) else {
      throw OwnerError.run("\(file.path) cannot be read by this version")
    }
    return value
  }

  private struct Version: Decodable { let version: Int }

  /// A file with a key `version` of its form.
  ///
  /// - Parameters:
  ///   - limit: as of `read`.
  ///   - advice: what to do with one of another version.
  /// - Returns: nil when there is no such file.
  /// - Throws: as `read`; `OwnerError.run` for another version.
  package static func read<Value: Decodable>(
    _ type: Value.Type, versions: ClosedRange<Int>, from file: URL, limit: Int, advice: String
  ) throws -> Value? {
    guard let bytes = try SmallFile.read(file.path, limit: limit) else { return nil }
    let found = try? JSONDecoder().decode(Version.self, from: bytes).version
    if let found, !versions.contains(found) {
      throw OwnerError.run(
        "\(file.path) is of version \(found) of its form, and this program knows version \(versions.upperBound); \(advice)"
      )
    }
    guard found != nil, let value = try? JSONDecoder().decode(type, from: bytes) else {
      throw OwnerError.run("\(file.path) cannot be read by this version")
    }
    return value
  }
}

/// Keeps a run directory for one process at a time: two that append to its history and answer its trainer would corrupt the run.
///
/// `status`, `cancel` and `predict` need none: they only read, or replace a whole file.
package final class RunLease: Sendable {
  private let lease: DirectoryLease

  /// Waits for as long as a process of another machine may be alive that has the run.
  ///
  /// - Parameters:
  ///   - directory: created before.
  ///   - waiting: called with a reason when it has to wait.
  ///   - isCancelled: asked while it waits; true ends the wait.
  ///   - onLoss: called on another thread when another process has taken the run over; nothing may be written to it then.
  /// - Throws: `OwnerError.run` that names the process that has the run; `.trainerGone` when cancelled; `LeaseError.damaged`;
  ///   `FileError` when the directory cannot be written.
  package init(
    _ directory: RunDirectory, waiting: @escaping (String) -> Void = { _ in },
    isCancelled: @escaping () -> Bool = { false }, onLoss: @escaping @Sendable (OwnerError) -> Void = { _ in }
  ) throws {
    do {
      lease = try DirectoryLease(
        directory.lease, waiting: waiting, isCancelled: isCancelled,
        onLoss: { _ in
          onLoss(
            .run(
              "another process has taken the run \(directory.root.path) over, because this one did not renew its lease for too long"
            ))
        })
    } catch LeaseError.held(_, let holder) {
      throw Self.isHeld(directory, by: holder)
    } catch is CancellationError {
      throw OwnerError.trainerGone("interrupted while waiting for the run directory")
    }
  }

  package func release() {
    lease.release()
  }

  /// - Throws: as `init` when a process that is alive, or may be, has the run.
  package static func checkFree(_ directory: RunDirectory) throws {
    guard let record = try? LeaseRecord.read(directory.lease), record.holder.isAlive != false else { return }
    throw isHeld(directory, by: record.holderText)
  }

  private static func isHeld(_ directory: RunDirectory, by holder: String) -> OwnerError {
    .run("the run \(directory.root.path) is in use by \(holder); wait until that one ends, or end it")
  }
}

/// Batches of a run that are drawn one by one, in place of passes over all rows.
package struct DrawnBatches {
  let steps: Int
  /// Rows of the largest one, at least 1.
  let columns: Int
  /// Rows of the file that step t takes.
  let rows: (_ step: Int) throws -> [Int32]

  package init(steps: Int, columns: Int, rows: @escaping (_ step: Int) throws -> [Int32]) {
    self.steps = steps
    self.columns = max(1, columns)
    self.rows = rows
  }
}

/// Fills a new run directory.
package enum RunSetup {
  /// Writes the resolved job, the data's names, the job's new master key and the state; `writePlan` adds the rest.
  ///
  /// - Parameter directory: created, and nobody else's.
  /// - Returns: the state and the key.
  /// - Throws: `OwnerError.run` when the directory is taken; `FileError` of kind `.exhausted` when the disk is full.
  package static func create(
    _ directory: RunDirectory, prepared: PreparedJob, trainer: String, trainerKey: String, keys: String
  ) throws -> (RunState, MasterKey) {
    guard !directory.exists else {
      throw OwnerError.run("\(directory.root.path) already holds a run; choose another --out")
    }
    try AtomicFile.write(Data(prepared.job.yaml().utf8), to: directory.resolvedJob.path)
    try prepared.names.write(to: directory.names)
    let job = JobID.random()
    let master = MasterKey(for: job)
    try MasterKeyFile(path: directory.jobKey.path).write(master)
    let state = RunState(
      job: job, phase: .prepared, trainer: trainer, trainerKey: trainerKey, keys: keys,
      data: prepared.shape.data, owner: prepared.secret.ownerKey, keyExpansion: KeyExpansionRecord())
    try state.save(directory)
    return (state, master)
  }

  /// Writes `plan.h5` and `initial.safetensors` where they are missing: what an outside replay needs.
  ///
  /// - Parameters:
  ///   - weights: what starting weights are drawn from, if not from what orders are.
  ///   - drawn: batches where they are not the passes of the plan.
  ///   - progress: batches drawn and in all; what it throws ends the work, and no plan is left.
  ///   - rounds: of a federation, the steps (rows of `batches`) that each takes; written as `rounds`, first and one past the last.
  /// - Throws: `DatasetError` or `FileError` of kind `.exhausted` when the disk is full.
  package static func writePlan(
    _ prepared: PreparedJob, weights: OrderSecret? = nil, drawn: DrawnBatches? = nil, rounds: [Range<Int>] = [],
    to directory: RunDirectory, progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws {
    let manager = FileManager.default
    if !manager.fileExists(atPath: directory.plan.path) {
      try writeBatches(prepared, drawn: drawn, rounds: rounds, to: directory.plan.path, progress)
    }
    guard !manager.fileExists(atPath: directory.initialWeights.path) else { return }
    try ModelDirectory.writeWeights(
      prepared.shape.startingWeights(secret: weights ?? prepared.secret), shape: prepared.shape,
      to: directory.initialWeights)
  }

  private static func writeBatches(
    _ prepared: PreparedJob, drawn: DrawnBatches?, rounds: [Range<Int>], to path: String,
    _ progress: (Int, Int) throws -> Void
  ) throws {
    let plan = prepared.plan
    let writer = try HDF5Writer(path: path)
    defer { writer.abandon() }
    try writer.write(prepared.split.training.map { Int64($0) }, to: "split/train")
    try writer.write(prepared.split.validation.map { Int64($0) }, to: "split/validation")
    try writer.createMatrix("batches", columns: drawn?.columns ?? plan.batch, of: Int64.self)
    for step in 0..<(drawn?.steps ?? 0) {
      let rows = try drawn?.rows(step) ?? []
      try writer.append(
        rows.map { Int64($0) } + Array(repeating: -1, count: max(0, (drawn?.columns ?? 0) - rows.count)), to: "batches")
      try progress(step + 1, drawn?.steps ?? 0)
    }
    for epoch in 0..<(drawn == nil ? plan.epochs : 0) {
      let order = plan.order(epoch: epoch)
      // One call per epoch: a call costs more than many rows do.
      var rows = [Int64](repeating: -1, count: plan.stepsPerEpoch * plan.batch)
      for step in 0..<plan.stepsPerEpoch {
        for (column, position) in plan.range(ofBatch: step).enumerated() {
          rows[step * plan.batch + column] = Int64(plan.rowOfSlot[Int(order[position])])
        }
      }
      try writer.append(rows, to: "batches")
    }
    if !rounds.isEmpty {
      try writer.createMatrix("rounds", columns: 2, of: Int64.self)
      try writer.append(rounds.flatMap { [Int64($0.lowerBound), Int64($0.upperBound)] }, to: "rounds")
    }
    try writer.commit()
  }
}
