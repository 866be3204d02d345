import Foundations
import JobSpec
import Models
import ArgumentParser
import OwnerRole
import Numerics
import Training

struct VerifyCommand: ParsableCommand {
  /// Rounding: a step's arithmetic errs by about √width · ε relative, which steps and the optimizer multiply; these bounds leave a factor of
  /// a hundred or more over what correct runs show, and are far below what a wrong key rule gives (order 1).
  static let singleTolerance = 1e-4
  static let doubleTolerance = 1e-10

  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Train N steps masked and N in plaintext, here, and compare the weights.",
    discussion: """
      Sends nothing. Runs in float32 and in float64, prints the largest relative weight difference of each and its \
      tolerance, and exits 7 when one is outside. A job with another train.precision is trained in that, too, masked and in plaintext: how far both \
      come away from plaintext float64 is printed and not judged, for roundings alone put them apart. With masking.noise both train on the same noised rows, with \
      privacy both with the same batches, clipping and noise of each step.

      Example: encryptor verify jobs/pbmc.yaml --steps 50
      """)

  @OptionGroup var job: JobOptions
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(help: "Steps to train.")
  var steps: Int = 50

  func validate() throws {
    guard (1...1_000_000).contains(steps) else { throw ValidationError("--steps must be 1 … 1000000") }
  }

  func run() throws {
    let resolved = try job.load()
    let prepared = try PreparedJob(job: resolved, secret: try OrderSecret(ephemeralWithSeed: resolved.train.seed))
    KernelNotice.show()
    let single = try check(Float.self, "float32", prepared, tolerance: Self.singleTolerance)
    let double = try check(Double.self, "float64", prepared, tolerance: Self.doubleTolerance)
    try measurePrecision(prepared)
    guard single, double else { throw OwnerError.checkFailed("masked and plaintext training differ") }
  }

  /// What the job computes in, where that is not float32.
  private func measurePrecision(_ prepared: PreparedJob) throws {
    let precision = prepared.job.train.precision
    guard precision != .float32 else { return }
    let progress = CountDisplay("training in \(precision.rawValue)")
    let found = try PrecisionVerification(prepared: prepared, compute: processing.compute)
      .distances(steps: steps) { progress.show($0, of: $1) }
    progress.end()
    print(
      "\(precision.rawValue): distance of the masked run's weights from plaintext float64 \(QuantityText.scientific(found.masked)), of the plaintext "
        + "\(precision.rawValue) run's \(QuantityText.scientific(found.plain)), of the starting weights \(QuantityText.scientific(found.trained)) "
        + "(not judged)")
  }

  private func check<Element: FloatingElement>(
    _ type: Element.Type, _ name: String, _ prepared: PreparedJob, tolerance: Double
  ) throws -> Bool {
    let progress = CountDisplay("training in \(name)")
    let difference = try Verification<Element>(prepared: prepared, compute: processing.compute)
      .largestRelativeDifference(steps: steps) { progress.show($0, of: $1) }
    progress.end()
    let passes = difference <= tolerance
    print(
      "\(name): largest relative weight difference \(QuantityText.scientific(difference)), tolerance "
        + "\(QuantityText.scientific(tolerance)): \(passes ? "ok" : "FAILED")")
    return passes
  }
}
