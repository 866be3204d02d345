import ArgumentParser
import Files
import Foundation
import Foundations
import Numerics
import OwnerRole
import Protocol

struct QueryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "query", abstract: "Ask a deployed model about the samples of a file, masked.",
    discussion: """
      Works with the directory that the deployment's owner made for this client, and the client's own key (`encryptor keygen`). Writes the data \
      sets that `predict` writes: `predictions` (class ids, 0/1 or values), `probabilities` and `outputs`, one row a row of the data. Columns are \
      found by their names where the training data had names.

      While it asks, answers are kept beside --out (FILE.partial). A host that goes away is waited for; after --patience, Ctrl-C or a kill the \
      same command goes on where it stopped. A masking key that the owner has changed is taken up on the way.

      Example: encryptor query deployments/pbmc/clients/ward --keys ward --data new.h5ad --out answers.h5
      """)

  @OptionGroup var client: ClientOptions

  @Option(help: "An HDF5 file with the same features as the training data.", completion: .file())
  var data: String

  @Option(help: "Path of the features or token ids in it. (default: as in the training data)")
  var features: String?

  @Flag(help: "Print a report as JSON.")
  var json = false

  @OptionGroup var processing: ProcessingOptions<OwnerWords>
  @OptionGroup var place: ListenOption<OwnerWords>

  func run() throws {
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    let opened = try ClientPlace(client, listen: place.listen, interruption)
    defer { opened.close() }
    KernelNotice.show()
    let asking = try DeploymentClient<Float>(opened.directory, own: opened.own, compute: processing.compute)
    let source = try QuestionSource(
      asking.shape, file: data, features: features, maximumTokens: asking.shape.tokens?.maximumTokens)
    let progress = QueryProgress(patience: processing.patience)
    let query = try Query(
      client: asking, source: source, data: data, features: features, to: URL(filePath: client.output),
      takeNumbers: { try opened.directory.takeNumbers($0, after: $1) }, isInterrupted: { interruption.isRequested },
      observe: { progress.show($0) })
    defer { progress.end() }
    let finished = try query.finishedBefore()
    let report = try finished ?? query.run(over: opened.connection, patience: .seconds(processing.patience))
    progress.end()
    if json {
      print(try JSONText.of(report))
    } else if finished != nil {
      print("\(QuantityText.count(report.rows)) rows: \(FinishedText.of(client.output))")
    } else {
      let speed = report.seconds > 0 ? Double(report.rowsAsked) / report.seconds : 0
      print(
        "\(QuantityText.count(report.rows)) rows in \(QuantityText.duration(report.seconds)), \(QuantityText.fixed(speed, 1)) rows/s: \(client.output)"
      )
      if let seen = report.rowsSeen { print(DeploymentText.seen(seen, of: report.maximumRows, by: opened.description)) }
    }
  }
}

/// Progress of a query on standard error.
private final class QueryProgress {
  private let count = CountDisplay("asking:")
  private let waiting: HostWaitNotice

  init(patience: Int) {
    waiting = HostWaitNotice(patience: patience)
  }

  func show(_ event: Query<Float>.Event) {
    switch event {
    case .answered(let rows, let all, _): count.show(rows, of: all)
    case .waiting(let reason), .lost(let reason): waiting.lost(reason)
    case .back: waiting.back()
    case .rekeyed(let number): waiting.rekeyed(number)
    case .resumed(let rows): StandardError.write("\(QuantityText.count(rows)) rows are answered already\n")
    }
  }

  func end() {
    count.end()
  }
}
