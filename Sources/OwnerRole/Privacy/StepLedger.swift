import Files
import Foundation
import JobSpec
import Privacy

/// `ledger.jsonl` of a private run: a line that says how each step is made private, and then a line for every step, synced before anything
/// that the step computes of its rows leaves. A step that is repeated after a kill has the same rows and noise and is not counted again; the first
/// line names what the noise is for, so that steps with other noise are never taken for repeated ones.
package struct StepLedger {
  private struct Line: Codable, Equatable {
    private enum CodingKeys: String, CodingKey {
      case kind, unit, delta, step
      case noiseFor = "noise_for"
      case clipNorm = "clip_norm"
      case noiseMultiplier = "noise_multiplier"
      case sampleRate = "sample_rate"
    }

    var kind: String
    var unit: String?
    var clipNorm: Double?
    var noiseMultiplier: Double?
    var sampleRate: Double?
    var delta: Double?
    var noiseFor: String?
    var step: Int?

    init(_ privacy: JobPrivacy) {
      kind = "mechanism"
      unit = privacy.target.unit.rawValue
      clipNorm = privacy.target.clipNorm
      noiseMultiplier = privacy.mechanism.noiseMultiplier
      sampleRate = privacy.mechanism.sampleRate
      delta = privacy.target.delta
      noiseFor = privacy.subject
    }

    init(step: Int) {
      kind = "step"
      self.step = step
    }

    var text: String {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      // Finite numbers and short text always encode.
      return String(decoding: (try? encoder.encode(self)) ?? Data("{}".utf8), as: UTF8.self)
    }
  }

  private let path: String
  private let log: LineLog
  /// Steps counted so far: 0 ..< `steps`.
  package private(set) var steps: Int

  /// σ of a run that has begun: it is that run's for good, whatever another version would find for the job.
  ///
  /// - Returns: nil for a run without a ledger.
  /// - Throws: `OwnerError.run` for a first line that is none of a ledger; `FileError`.
  package static func noiseMultiplier(of directory: RunDirectory) throws -> Double? {
    let path = directory.ledger.path
    guard RegularFile.exists(path), let first = try LineLog.lines(of: path).first else { return nil }
    guard let found = try line(first, of: path).noiseMultiplier else { throw notOfALedger(path) }
    return found
  }

  private static func line(_ text: String, of path: String) throws -> Line {
    guard let line = try? JSONDecoder().decode(Line.self, from: Data(text.utf8)) else { throw notOfALedger(path) }
    return line
  }

  private static func notOfALedger(_ path: String) -> OwnerError {
    .run("\(path) holds a line that is not of a ledger; restore it, or begin anew with another --out")
  }

  /// Opens the ledger, or begins it; a torn last line, left by a kill before it was synced, is dropped.
  ///
  /// - Parameter isBegun: whether steps may have left already, so that there must be a ledger.
  /// - Throws: `OwnerError.run` for a ledger of other steps than these, one that is damaged, or none where there must be one; `FileError`.
  package init(_ directory: RunDirectory, _ privacy: JobPrivacy, isBegun: Bool) throws {
    let path = directory.ledger.path
    self.path = path
    if isBegun, try !RegularFile.exists(path) || LineLog.lines(of: path).isEmpty {
      throw OwnerError.run(
        "\(path), which counts the steps of a private run that has begun, is gone or empty: without it nobody knows what is spent; restore it, "
          + "or begin anew with another --out and add up what both runs spend")
    }
    log = try LineLog(path: path)
    let own = Line(privacy)
    let lines = try LineLog.lines(of: path).map { try Self.line($0, of: path) }
    steps = max(0, lines.count - 1)
    guard let first = lines.first else {
      try log.append(own.text)
      try log.sync()
      return
    }
    guard first == own else {
      throw OwnerError.run(
        "\(path) counts steps with another noise, clip norm or sample rate than the job's, or with noise for another job or "
          + "other data; put back what has changed, resume with the version that began the run, or begin anew with another --out"
      )
    }
    for (number, line) in lines.dropFirst().enumerated() where line != Line(step: number) {
      throw OwnerError.run("\(path) lacks step \(number) or has it twice; restore it, or begin anew with another --out")
    }
  }

  /// Counts a step and those before it, unless they are counted already; returns when that is on the disk.
  ///
  /// A step without rows may be said to the trainer before the one under way has its gradients: both are counted then, the earlier one a moment
  /// before it need be.
  ///
  /// - Throws: `OwnerError.run` for a file that is not the ledger's any more, and then nothing may leave; `FileError`.
  package mutating func count(through step: Int) throws {
    do {
      try log.checkInPlace()
    } catch {
      throw OwnerError.run(
        "\(path) is not the file any more that this run counts its steps in (moved, replaced or changed while it was in use); put it back as it "
          + "was and resume, nothing more is sent")
    }
    guard step >= steps else { return }
    for number in steps...step { try log.append(Line(step: number).text) }
    try log.sync()
    steps = step + 1
  }
}
