import ArgumentParser
import Foundation
import Masking
import Numerics
import OwnerRole

struct RetrieveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retrieve", abstract: "Fetch a finished job's weights, unmasked, into RUN/model.",
    discussion: """
      With --masked the weights are kept as the trainer had them, in RUN/masked.safetensors, for as long as you like; `encryptor unmask` \
      opens them with the run's key, RUN/state/job.key. Without that key, kept elsewhere, nobody opens them, you included. Either way the trainer \
      removes the job.

      Example: encryptor retrieve runs/pbmc
      """)

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Flag(help: "Keep the weights masked, in RUN/masked.safetensors.")
  var masked = false

  func run() throws {
    var opened = try selected.open()
    if let place = opened.resultHere {
      print(place)
      return
    }
    let lease = try RunHold.take(opened.directory, Interruption())
    defer { lease.release() }
    // Another process may have finished it meanwhile.
    opened = try selected.open()
    if let place = opened.resultHere {
      print(place)
      return
    }
    try KernelNotice.show(forKeysOf: opened.state.keyExpansion)
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    let retrieval = DetachedRetrieval(
      directory: opened.directory, state: opened.state, shape: try opened.shape(),
      masterKey: { [opened] in try opened.state.masterKey(opened.directory) },
      connection: connection, compute: processing.compute)
    let history = try retrieval.retrieve(masked: masked)
    for line in EvaluationTable(history.records).lines { print(line) }
    print(masked ? opened.directory.maskedWeights.path : opened.directory.model.path)
  }
}

extension OpenedRun {
  /// Where the result is, once it is here; nil until then.
  fileprivate var resultHere: String? {
    switch state.phase {
    case .finished: directory.model.path
    case .masked: "\(directory.maskedWeights.path): masked; open it with encryptor unmask \(directory.root.path)"
    case .prepared, .detached, .training, .cancelled: nil
    }
  }
}

struct UnmaskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unmask", abstract: "Open weights that were retrieved masked: RUN/masked.safetensors into RUN/model.",
    discussion: """
      Needs RUN/state/job.key, and for a checkpoint the directory that the job names; no trainer. The masked file stays.

      Example: encryptor unmask runs/pbmc
      """)

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  func run() throws {
    var opened = try selected.open()
    guard opened.state.phase == .masked || opened.state.phase == .finished else {
      throw OwnerError.run(
        "the run is \(opened.state.phase.rawValue); its weights are not here yet: encryptor retrieve --masked \(selected.run)"
      )
    }
    let lease = try RunHold.take(opened.directory, Interruption())
    defer { lease.release() }
    opened = try selected.open()
    if opened.state.phase == .masked {
      try KernelNotice.show(forKeysOf: opened.state.keyExpansion)
      let shape = try opened.shape()
      let keys = JobKeys<Float>(
        master: try opened.state.masterKey(opened.directory), plan: shape.keyPlan, compute: processing.compute)
      try MaskedResult(shape: shape).open(
        opened.directory, keys: keys,
        standardization: try ModelDirectory.readStandardization(opened.directory.standardization))
      var state = opened.state
      state.phase = .finished
      try state.save(opened.directory)
    }
    print(opened.directory.model.path)
  }
}
