import ArgumentParser
import Foundation
import OwnerSession
import Tensors

struct RetrieveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "retrieve", abstract: "Fetch a finished job's weights, unmasked, into RUN/model.",
    discussion: "Example: encryptor retrieve runs/pbmc")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var processing: ProcessingOptions

  func run() throws {
    let opened = try selected.open()
    if opened.state.phase == .finished {
      print(opened.directory.model.path)
      return
    }
    let connection = try opened.connect()
    defer { connection.close() }
    try connection.greet(patience: .seconds(10))
    let retrieval = DetachedRetrieval(
      directory: opened.directory, state: opened.state, shape: try opened.shape(), masterKey: try opened.masterKey(),
      connection: connection, workers: processing.workers)
    let history = try retrieval.retrieve()
    for line in EvaluationTable(history.records).lines { print(line) }
    print(opened.directory.model.path)
  }
}
