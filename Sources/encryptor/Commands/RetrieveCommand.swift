import ArgumentParser
import Foundation
import OwnerSession
import Tensors

struct RetrieveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retrieve", abstract: "Fetch a finished job's weights, unmasked, into RUN/model.",
    discussion: "Example: encryptor retrieve runs/pbmc")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption
  @OptionGroup var processing: ThreadsOption

  func run() throws {
    var opened = try selected.open()
    if opened.state.phase == .finished {
      print(opened.directory.model.path)
      return
    }
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    let lease = try RunHold.take(opened.directory, interruption)
    defer { lease.release() }
    // What a process that had it until now has done.
    opened = try selected.open()
    if opened.state.phase == .finished {
      print(opened.directory.model.path)
      return
    }
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    let retrieval = DetachedRetrieval(
      directory: opened.directory, state: opened.state, shape: try opened.shape(), masterKey: try opened.masterKey(),
      connection: connection, workers: processing.workers)
    let history = try retrieval.retrieve()
    for line in EvaluationTable(history.records).lines { print(line) }
    print(opened.directory.model.path)
  }
}
