import ArgumentParser
import Foundation
import OwnerSession
import Wire

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Ask the trainer how a run stands.",
    discussion: "Example: encryptor status runs/pbmc --json")

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let opened = try selected.open()
    if opened.state.phase == .finished || opened.state.phase == .cancelled {
      try show(StatusReport(phase: opened.state.phase.rawValue, trainer: nil))
      return
    }
    let connection = try opened.greet(listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    try show(StatusReport(phase: opened.state.phase.rawValue, trainer: try connection.status()))
  }

  private func show(_ report: StatusReport) throws {
    guard !json else {
      print(try JSONText.of(report))
      return
    }
    guard let trainer = report.trainer else {
      print(report.phase)
      return
    }
    var line = "\(trainer.state.rawValue), step \(trainer.step) of \(trainer.totalSteps)"
    if trainer.queuePosition > 0 { line += ", place \(trainer.queuePosition) in the queue" }
    if let failure = trainer.failure { line += ": \(failure)" }
    print(line)
  }
}
