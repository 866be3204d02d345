import ArgumentParser
import Files
import Foundation
import Foundations
import Numerics
import OwnerRole
import Protocol

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Have a deployed language model continue prompts, masked.",
    discussion: """
      Works with the directory that the deployment's owner made for this client, and the client's own key (`encryptor keygen`). The file of prompts \
      has token ids as the training data had them, padding at the end (`jobs/prepare/text.py encode`). Each token is masked here and sent alone; the \
      host, which keeps masked keys and values of the texts under way, answers with masked logits, and the next token is chosen here. Writes \
      `tokens` [rows, longest] (the new ones, with the end token where there is one, then padding), `lengths` [rows] and `finished` [rows]: 1 where \
      an end token is the last, 0 where --max-tokens or the deployment's limit ended the text.

      The same seed gives the same tokens, whatever else is asked at the time, as far as logits have the same order: their last bits may differ with \
      what the host computes together, and under another key.

      With --stream each token is printed as it comes, `ROW ID` a line, one prompt after the other, for `jobs/prepare/text.py decode`. While it works, \
      tokens are kept beside --out (FILE.partial): after a host that stayed away longer than --patience, Ctrl-C or a kill the same command goes on.

      Example: encryptor generate deployments/notes/clients/ward --keys ward --prompts prompts.h5 --out texts.h5 --max-tokens 128 --seed 1
      """)

  @OptionGroup var client: ClientOptions

  @Option(help: "An HDF5 file with the token ids of a prompt a row.", completion: .file())
  var prompts: String

  @Option(help: "Path of the token ids in it. (default: as in the training data)")
  var features: String?

  @Option(
    help: ArgumentHelp(
      "New tokens of a text at most. (default: 64, or as many as the deployment leaves room for)", valueName: "n"))
  var maxTokens: Int?

  @Option(help: "How far from the likeliest token the next may be: logits are divided by it. 0 takes the likeliest.")
  var temperature = 0.7

  @Option(
    help: ArgumentHelp(
      "Draw among so many of the likeliest tokens; 0 for all. (default: 50, or all with --top-p)", valueName: "k"))
  var topK: Int?

  @Option(
    help: ArgumentHelp(
      "Draw among the fewest of the likeliest tokens that have this probability together. (default: 1)", valueName: "p")
  )
  var topP: Double?

  @Option(help: "What tokens are drawn by, 0 … 2^53 − 1. (default: a new one, which is said)")
  var seed: Int?

  @Flag(help: "Print each token's id as it comes.")
  var stream = false

  @Flag(help: "Print a report as JSON.")
  var json = false

  @OptionGroup var processing: ProcessingOptions<OwnerWords>
  @OptionGroup var place: ListenOption<OwnerWords>

  func validate() throws {
    if stream, json { throw ValidationError("--stream and --json would both write to standard output; give one") }
    _ = try request()
  }

  private func request() throws -> GenerationRequest {
    do {
      return try GenerationRequest(
        prompts: prompts, features: features, mostTokens: maxTokens,
        sampling: TokenSampling(temperature: temperature, topK: topK, topP: topP), seed: seed,
        textsAtOnce: stream ? 1 : .max)
    } catch {
      throw ValidationError("\(error)")
    }
  }

  func run() throws {
    let request = try request()
    let interruption = Interruption()
    let signals = InterruptSignals(interruption)
    defer { withExtendedLifetime(signals) {} }
    let opened = try ClientPlace(client, listen: place.listen, interruption)
    defer { opened.close() }
    KernelNotice.show()
    let asking = try DeploymentClient<Float>(opened.directory, own: opened.own, compute: processing.compute)
    let progress = GenerationProgress(patience: processing.patience, streams: stream)
    let generation = try Generation(
      request, client: asking, to: URL(filePath: client.output),
      takeNumbers: { try opened.directory.takeNumbers($0, after: $1) }, isInterrupted: { interruption.isRequested },
      observe: { progress.show($0) })
    defer { progress.end() }
    let finished = try generation.finishedBefore()
    let report = try finished ?? generation.run(over: opened.connection, patience: .seconds(processing.patience))
    progress.end()
    if json {
      print(try JSONText.of(report))
      return
    }
    for line in finished == nil ? lines(report, by: opened.description) : [FinishedText.of(client.output)] {
      if stream { StandardError.write(line + "\n") } else { print(line) }
    }
  }

  private func lines(_ report: GenerationReport, by description: ClientDescription) -> [String] {
    let speed = report.seconds > 0 ? Double(report.tokensGenerated) / report.seconds : 0
    return [
      "\(QuantityText.count(report.tokens)) tokens after \(QuantityText.count(report.rows)) prompts in "
        + "\(QuantityText.duration(report.seconds)), \(QuantityText.fixed(speed, 1)) tokens/s, "
        + "\(QuantityText.count(report.finished)) texts finished: \(client.output)"
    ] + (report.rowsSeen.map { [DeploymentText.seen($0, of: report.maximumRows, by: description)] } ?? [])
  }
}

/// Progress of a generation: tokens on standard output where they are streamed, all else on standard error.
private final class GenerationProgress {
  private let waiting: HostWaitNotice
  private let streams: Bool
  private let display = CountDisplay("generating:")
  private let start = ContinuousClock.now

  init(patience: Int, streams: Bool) {
    waiting = HostWaitNotice(patience: patience)
    self.streams = streams
  }

  func show(_ event: Generation<Float>.Event) {
    switch event {
    case .token(let token, let row):
      guard streams else { return }
      print("\(row) \(token)")
      // As it comes, also into a pipe.
      fflush(nil)
    case .ended: break
    case .advanced(let texts, let all, let tokens):
      if streams { return }
      let seconds = start.duration(to: .now) / .seconds(1)
      display.show(
        "\(QuantityText.count(texts)) of \(QuantityText.count(all)) texts, \(QuantityText.fixed(Double(tokens) / max(seconds, 1e-3), 1)) tokens/s"
      )
    case .waiting(let reason), .lost(let reason): waiting.lost(reason)
    case .back: waiting.back()
    case .rekeyed(let number): waiting.rekeyed(number)
    case .resumed(let texts):
      StandardError.write("\(QuantityText.count(texts)) texts are done already\n")
    case .seed(let seed): StandardError.write("seed \(seed)\n")
    }
  }

  func end() {
    display.end()
  }
}
