import Models
import Files
import Foundation
import JobSpec
package import Masking
package import Numerics
import Protocol

/// A finished job's weights as they come: unmasked into `model/`, or kept masked until they are wanted.
package struct ResultRetrieval<Element: FloatingElement> {
  package let connection: TrainerConnection<Element>
  package let shape: JobShape
  package let keys: JobKeys<Element>

  package init(connection: TrainerConnection<Element>, shape: JobShape, keys: JobKeys<Element>) {
    self.connection = connection
    self.shape = shape
    self.keys = keys
  }

  /// Fetches the weights, unmasks them and writes `model/`.
  ///
  /// - Throws: `OwnerError` when the trainer is gone, has no result, or returns weights that are not finite; `FileError` when the
  ///   disk is full.
  package func write(
    to directory: RunDirectory, standardization: Standardization?, progress: (Int, Int) -> Void
  ) throws {
    let specifications = shape.structure.parameters
    let masked = try WeightTransfer(connection: connection, specifications: specifications).download(
      progress: progress)
    try MaskedResult(shape: shape).unmask(masked, keys: keys, to: directory, standardization: standardization)
  }
}

/// A job's trained weights under its keys.
package struct MaskedResult<Element: FloatingElement> {
  private let shape: JobShape

  package init(shape: JobShape) {
    self.shape = shape
  }

  private var trained: [ParameterSpecification] { shape.structure.parameters.filter(\.isTrained) }

  /// Keeps them as they are: `masked.safetensors`, under the names that the trainer knows.
  ///
  /// - Throws: `FileError` when the disk is full.
  func keep(_ masked: [Tensor<Element>], in directory: RunDirectory) throws {
    let tensors = zip(trained, masked).map { SafetensorsTensor($0.name, $1) }
    try SafetensorsFile.write(tensors, metadata: ["weights": "masked"], to: directory.maskedWeights.path)
  }

  /// Unmasks what `keep` wrote and writes `model/`.
  ///
  /// - Throws: `FileError` for a file that is missing or damaged; `OwnerError.run` for one that holds other weights than the job has.
  package func open(_ directory: RunDirectory, keys: JobKeys<Element>, standardization: Standardization?) throws {
    let file = try SafetensorsFile(path: directory.maskedWeights.path)
    let masked: [Tensor<Element>] = try trained.map { specification in
      let tensor: Tensor<Element> = try file.tensor(specification.name)
      guard tensor.shape == specification.shape, tensor.allFinite else {
        throw OwnerError.run(
          "\(directory.maskedWeights.path) does not hold this job's weights: \(specification.name) has another shape, or numbers that are none"
        )
      }
      return tensor
    }
    try unmask(masked, keys: keys, to: directory, standardization: standardization)
  }

  func unmask(
    _ masked: [Tensor<Element>], keys: JobKeys<Element>, to directory: RunDirectory, standardization: Standardization?
  ) throws {
    let specifications = trained
    var weights = masked
    for index in weights.indices { weights[index] = try keys.unmaskParameter(weights[index], specifications[index]) }
    let finished = NamedTensors(zip(specifications.map(\.name), weights).map { ($0, $1) })
    try ModelDirectory(directory.model).write(
      finished, shape: shape, standardization: standardization, names: try DataNames.read(directory.names))
  }
}

/// Fetches the result of a job that ran without its owner: history and weights; then the trainer may remove the job.
package struct DetachedRetrieval<Element: FloatingElement> {
  private let directory: RunDirectory
  private let state: RunState
  private let shape: JobShape
  private let masterKey: () throws -> MasterKey
  private let connection: TrainerConnection<Element>
  private let compute: Compute

  /// - Parameter masterKey: read where weights are unmasked, and only there: it may be kept elsewhere until then.
  package init(
    directory: RunDirectory, state: RunState, shape: JobShape, masterKey: @escaping () throws -> MasterKey,
    connection: TrainerConnection<Element>, compute: Compute
  ) {
    self.directory = directory
    self.state = state
    self.shape = shape
    self.masterKey = masterKey
    self.connection = connection
    self.compute = compute
  }

  /// - Parameter masked: whether the weights are kept as they are, in `masked.safetensors`, and not unmasked yet.
  /// - Returns: the run's history, completed.
  /// - Throws: `OwnerError.run` when the job is not finished yet, naming its step; otherwise as a run.
  package func retrieve(masked: Bool = false) throws -> RunHistory {
    let status = try connection.status()
    guard status.state == .finished else {
      throw OwnerError.notFinished(
        "the job is \(status.state.rawValue) at step \(status.step) of \(status.totalSteps); retrieve it when it is finished"
      )
    }
    // Before anything is fetched.
    let master = try masked ? nil : masterKey()
    var history = try RunHistory(directory)
    if shape.job.lossLocation == .trainer { try complete(&history, status.kernels) }
    if let master {
      let keys = JobKeys<Element>(master: master, plan: shape.keyPlan, compute: compute)
      try ResultRetrieval(connection: connection, shape: shape, keys: keys).write(
        to: directory,
        standardization: try ModelDirectory.readStandardization(directory.standardization)
      ) { _, _ in }
    } else {
      let weights = try WeightTransfer(connection: connection, specifications: shape.structure.parameters)
        .download { _, _ in }
      try MaskedResult(shape: shape).keep(weights, in: directory)
    }
    var finished = state
    finished.phase = masked ? .masked : .finished
    try finished.save(directory)
    connection.release()
    return history
  }

  private func complete(_ history: inout RunHistory, _ kernels: [KernelUse]?) throws {
    var known: Int
    repeat {
      known = history.records.count
      try connection.send(.follow(from: known))
      var isAnswered = false
      while !isAnswered {
        switch try connection.receive(timeout: .seconds(1)) {
        case .progress(let from, let records):
          guard from <= history.records.count else {
            throw OwnerError.protocolViolation("a gap in the history it sends")
          }
          for record in records.dropFirst(history.records.count - from) { try history.append(record) }
        case .status: isAnswered = true
        default: break
        }
      }
    } while history.records.count - known >= ProgressRecord.maxPerAnswer
    try history.note(kernels ?? [])
    try history.sync()
  }
}
