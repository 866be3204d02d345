import ArgumentParser
import Foundation
import TrainerSession

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show the jobs in a store and the trainer at work on it, if there is one.",
    discussion: """
      Reads the store's files alone: it needs no trainer, no keys and no network, and writes nothing.

      Example: trainer status --store /scratch/trainer --json
      """)

  @Option(help: "The trainer's directory for jobs and checkpoints.", completion: .directory)
  var store: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let report = try StoreSurvey(store: URL(filePath: store)).report()
    guard json else {
      for line in StatusText(report).lines { print(line) }
      return
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }
}
