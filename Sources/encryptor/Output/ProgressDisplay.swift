import Foundations
import Models
import Foundation
import JobSpec
import Masking
import OwnerRole
import Numerics
import Protocol

/// A run's progress on standard error: a bar with loss, metric, rows/s and time left on a terminal; a line every few seconds otherwise.
///
/// Used from the thread that runs the job.
final class ProgressDisplay {
  private let prepared: PreparedJob
  /// Seconds that the run waits for its trainer.
  private let patience: Int
  private let clock = ContinuousClock()
  private let isTerminal = StandardError.isTerminal
  private var lastShown: ContinuousClock.Instant
  private var phase = ""
  private var firstStep = 0
  private var trainingBegan: ContinuousClock.Instant
  private var rows = 0
  private var smoothedLoss: Double?
  private var metric = ""

  init(job prepared: PreparedJob, patience: Int) {
    self.prepared = prepared
    self.patience = patience
    lastShown = clock.now
    trainingBegan = clock.now
  }

  /// The job in a line, and what the owner must have read before anything is sent.
  func showPlan() {
    let description = prepared.description
    line(
      "\(prepared.job.name): \(QuantityText.count(prepared.plan.trainingRows)) rows to train on, "
        + "\(QuantityText.count(prepared.plan.validationRows)) to validate on, "
        + "\(Self.width(prepared)), \(prepared.shape.data.outputs) outputs; "
        + "\(description.epochs) epochs of \(description.stepsPerEpoch) steps; masking \(prepared.job.masking.strength.rawValue), "
        + "loss at the \(prepared.job.lossLocation.rawValue); trainer \(prepared.job.trainer)")
    for notice in SendingNotices.of(prepared) { line(notice) }
    KernelNotice.show()
  }

  func show(_ event: RunEvent) {
    switch event {
    case .began(let what):
      phase = what
      if !isTerminal { line(what) }
    case .advanced(let done, let total):
      update { "\(phase) \(Self.bar(done, total)) \(QuantityText.count(done))/\(QuantityText.count(total))" }
    case .warning(let text): line("warning: \(text)")
    case .queued(let position): line("waiting in the trainer's queue, place \(position)")
    case .turnEnded: line("the trainer has saved the job and lets another one have its turn")
    case .trainingStarts(let step, let total):
      firstStep = step
      trainingBegan = clock.now
      rows = 0
      line(
        step == 0
          ? "training, \(QuantityText.count(total)) steps" : "training goes on at step \(QuantityText.count(step))")
    case .progress(let record, let count): show(record, rows: count)
    case .waitingForTrainer(let reason): line("\(reason); \(waiting)")
    case .trainerLost(let reason): line("trainer lost: \(reason); everything is saved here, \(waiting)")
    case .trainerBack: line("the trainer is there")
    case .saved: break
    case .multiplies(let use, isOther: false): line("the trainer multiplies with \(use.kernel)")
    case .multiplies(let use, isOther: true):
      line(
        "from step \(QuantityText.count(use.step)) on the trainer multiplies with \(use.kernel), another kernel than the run began with: its operator "
          + "allows it, and the last bits of the result are others")
    }
  }

  func end() {
    if isTerminal { StandardError.write("\r\u{1B}[K") }
  }

  private var waiting: String { "waiting for it for up to \(QuantityText.duration(Double(patience)))" }

  private func show(_ record: ProgressRecord, rows count: Int) {
    switch record {
    case .step(let step, let loss, _, _, _):
      rows += count
      smoothedLoss = smoothedLoss.map { 0.95 * $0 + 0.05 * loss } ?? loss
      update {
        let total = prepared.description.totalSteps
        let elapsed = trainingBegan.duration(to: clock.now) / .seconds(1)
        let done = step + 1 - firstStep
        let left = elapsed / Double(max(1, done)) * Double(total - step - 1)
        return
          "\(Self.bar(step + 1, total)) step \(step + 1)/\(total)  loss \(QuantityText.fixed(smoothedLoss ?? loss, 4))"
          + "\(metric)  \(QuantityText.count(Int(Double(rows) / max(elapsed, 1e-9)))) rows/s  "
          + "\(QuantityText.duration(left)) left"
      }
    case .evaluation(let epoch, _, let loss, let metrics, let kept, _):
      let values = metrics.sorted { $0.key < $1.key }
        .map { "\($0.key) \(QuantityText.fixed($0.value, 4))" }.joined(separator: "  ")
      metric = values.isEmpty ? "" : "  \(values)"
      line(
        "epoch \(epoch + 1)/\(prepared.description.epochs)  validation loss \(QuantityText.fixed(loss, 4))  \(values)"
          + (kept ? "  best so far" : ""))
    }
  }

  private func update(_ text: () -> String) {
    let now = clock.now
    guard lastShown.duration(to: now) >= (isTerminal ? .milliseconds(100) : .seconds(5)) else { return }
    lastShown = now
    if isTerminal { StandardError.replaceLine(text()) } else { StandardError.write(text() + "\n") }
  }

  private func line(_ text: String) {
    StandardError.write((isTerminal ? "\r\u{1B}[K" : "") + text + "\n")
  }

  private static func width(_ prepared: PreparedJob) -> String {
    guard let longest = prepared.shape.data.maximumTokens else {
      return "\(QuantityText.count(prepared.shape.data.features)) features"
    }
    return "\(QuantityText.count(prepared.description.totalTokens)) tokens, at most \(longest) per row"
  }

  private static func bar(_ done: Int, _ total: Int) -> String {
    guard StandardError.isTerminal else { return "" }
    let width = 24
    let filled = total > 0 ? min(width, done * width / total) : 0
    return "[" + String(repeating: "█", count: filled) + String(repeating: "·", count: width - filled) + "]"
  }
}

/// Progress of work of known length: a bar on a terminal, a line every few seconds otherwise.
final class CountDisplay {
  private let label: String
  private let clock = ContinuousClock()
  private var lastShown: ContinuousClock.Instant?
  private let interval: Duration = StandardError.isTerminal ? .milliseconds(100) : .seconds(5)

  init(_ label: String) {
    self.label = label
  }

  func show(_ done: Int, of total: Int) {
    show("\(QuantityText.count(done)) of \(QuantityText.count(total))")
  }

  /// - Parameter state: how far it is.
  func show(_ state: @autoclosure () -> String) {
    let now = clock.now
    if let lastShown, lastShown.duration(to: now) < interval { return }
    if lastShown == nil, !StandardError.isTerminal {
      lastShown = now
      return
    }
    lastShown = now
    let share = "\(label) \(state())"
    if StandardError.isTerminal { StandardError.replaceLine(share) } else { StandardError.write(share + "\n") }
  }

  func end() {
    if StandardError.isTerminal { StandardError.write("\r\u{1B}[K") }
  }
}

/// Progress and errors go to standard error, results to standard output.
extension StandardError {
  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Replaces the terminal's present line, cut to its width: a longer one would wrap and could not be replaced again.
  static func replaceLine(_ text: String) {
    var size = winsize()
    let width = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    write("\r\u{1B}[K\(text.prefix(width - 1))")
  }
}

/// Which code multiplies here, said on standard error before long work.
enum KernelNotice {
  static func show() {
    StandardError.write("multiplying with OpenBLAS's kernel \(KernelChoice.ofThisProcess.summary)\n")
    if let advice = KernelChoice.ofThisProcess.advice { StandardError.write("\(advice)\n") }
  }

  /// Whether a run's keys will have other bits here than where it was made; a run made before this was kept says nothing.
  ///
  /// - Throws: `MaskingError.keyExpansion` for keys that this program cannot make.
  static func show(forKeysOf expansion: KeyExpansionRecord?) throws {
    if let notice = try expansion?.notice() { StandardError.write("\(notice)\n") }
  }
}
