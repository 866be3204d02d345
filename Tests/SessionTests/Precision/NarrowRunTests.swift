import Files
import Foundation
import JobSpec
import Models
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing

/// Whole jobs in bfloat16: what travels, and that interruptions change no bit.
@Suite(.waiting, .timeLimit(.minutes(10))) struct NarrowRunTests {
  private static func job(_ loss: LossLocation, _ optimizer: OptimizerDescription = SmallJob.muon()) -> SmallJob {
    SmallJob().changing {
      ($0.precision, $0.loss, $0.epochs, $0.optimizer) = (.bfloat16, loss, 4, optimizer)
      ($0.keep, $0.checkpointEverySteps) = (.best, 4)
    }
  }

  /// Bytes of each kind of message, both ways; of values (frames of more than 4 bytes a row) apart.
  private final class Meter: Sendable {
    private let counted = Mutex<[Int: (values: Int, types: Set<UInt8>)]>([:])

    /// Kinds whose last, or third, tensor is values; where in the message it stands.
    private static let valueFrames: [UInt8: Int] = [5: 3, 6: 1, 7: 3, 11: 1, 106: 1, 108: 1]

    func note(_ message: Message) {
      guard let header = message.first.map({ [UInt8]($0) }), header.count >= 24,
        let place = Self.valueFrames[header[6]], message.count > place
      else { return }
      var type = 24
      for _ in 1..<place { type += 2 + 8 * Int(header[type + 1]) }
      counted.withLock { counted in
        var kind = counted[Int(header[6])] ?? (0, [])
        kind.values += message[place].count
        if !message[place].isEmpty { kind.types.insert(header[type]) }
        counted[Int(header[6])] = kind
      }
    }

    var bytes: Int { counted.withLock { $0.values.reduce(0) { $0 + $1.values } } }
    var kinds: Set<Int> { counted.withLock { Set($0.filter { $0.value.values > 0 }.keys) } }
    var types: Set<UInt8> { counted.withLock { $0.values.reduce(into: []) { $0.formUnion($1.types) } } }
  }

  private func metered(_ job: SmallJob) throws -> (meter: Meter, report: RunReport) {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let meter = Meter()
    site.network.setFault { transit in
      meter.note(transit.message)
      return [transit.message]
    }
    return (meter, try #require(try site.run(job).execute(on: site.network)))
  }

  /// Rows of d + 2 columns where plain ones have d: (d + 2) / 2d of their bytes, and outputs and gradients half of theirs. The bar of 0.51 is for
  /// rows of 100 columns and more; of 6 columns they are 4/3 as large.
  @Test(arguments: [LossLocation.owner, .trainer])
  func valuesTravelInHalfTheBytes(_ loss: LossLocation) throws {
    let narrow = try metered(Self.job(loss))
    let whole = try metered(Self.job(loss).changing { $0.precision = .float32 })
    #expect(narrow.meter.kinds == (loss == .owner ? [5, 6, 7, 106, 108] : [11]))
    #expect(narrow.meter.types == [6] && whole.meter.types == [1])
    #expect(2 * narrow.meter.bytes == whole.meter.bytes)
    // 44 rows in all; with the loss at the owner 35 of them four times out, and back.
    let (columns, added) = (SmallData.columns, 2)
    let outputs = loss == .owner ? 4 * (2 * 35 + 9) * SmallData.outputs : 0
    #expect(whole.meter.bytes == 4 * (44 * (columns + added) + outputs))
    let wide = Double(2 * (44 * (400 + added) + outputs)) / Double(4 * (44 * 400 + outputs))
    #expect(wide <= 0.51)
    #expect(narrow.report.precision == .bfloat16 && narrow.report.kernels?.count == 1)
    #expect(narrow.report.expansion < 1 && whole.report.expansion > 1)
  }

  @Test(arguments: [LossLocation.owner, .trainer], [1, 2] as [UInt64])
  func anOwnerThatIsKilledEndsInTheSameBits(_ loss: LossLocation, _ seed: UInt64) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    var random = SplitMix(seed: seed)
    let run = try site.run(Self.job(loss))
    let undisturbed = try site.undisturbed(run)
    var kills = 0
    while kills < 20 {
      let life = Int.random(in: 1...(loss == .owner ? 120 : 30), using: &random)
      do {
        try run.reopened().execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: life))
        break
      } catch TransportError.closed {
        kills += 1
      }
    }
    if kills == 20 { try run.reopened().execute(on: site.network) }
    #expect(kills > 0)
    #expect(try run.model() == undisturbed.model() && run.history() == undisturbed.history())
  }

  @Test(arguments: [LossLocation.owner, .trainer], [1, 2] as [UInt64])
  func aTrainerThatIsKilledEndsInTheSameBits(_ loss: LossLocation, _ seed: UInt64) throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job(loss, SmallJob.adamw()).changing { $0.strength = .permutation })
    let undisturbed = try site.undisturbed(run)
    let killer = TrainerKiller<Float>(site, seed: seed, kills: 3, messages: loss == .owner ? 2...60 : 2...30)
    defer { killer.end() }
    try run.execute(over: site.network.connect(site.keys.ownerKey))
    #expect(killer.kills > 0)
    #expect(try run.model() == undisturbed.model() && run.history() == undisturbed.history())
  }

  /// The same weights as in float32 within what rounding to 8 bits does in 20 steps, and not the same bits.
  @Test func theResultIsNearThatOfFloats() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    // Without a kink, on whose other side a rounded number would train another unit; and of the same epoch, whichever is better.
    let smooth = Self.job(.owner, SmallJob.sgd(rate: 0.02)).changing { ($0.activation, $0.keep) = (.gelu, .last) }
    let whole = try site.run(smooth.changing { $0.precision = .float32 })
    // Keys and starting weights are the same: both are drawn from the same files.
    let narrow = try whole.twin(in: site.directory.url("narrow"))
    let job = smooth.resolved(on: site.data)
    try Data(job.yaml().utf8).write(to: narrow.directory.resolvedJob)
    try whole.execute(on: site.network)
    try OwnedRun<Float>(reopening: narrow.directory.root, job, keys: site.keys).execute(on: site.network)
    let (first, second) = (try whole.weights(), try narrow.weights())
    let difference = zip(first, second).reduce(0) { max($0, abs($1.0 - $1.1)) }
    // Weights of order 1; an update of 20 steps at this rate is of order 0.1, and 2⁻⁸ of it is 4e-4.
    #expect(difference > 1e-6 && difference < 0.02, "\(difference)")
  }
}

extension OwnedRun where Element == Float {
  /// All numbers of the result.
  func weights() throws -> [Float] {
    let tensors: NamedTensors<Float> = try SafetensorsFile(
      path: directory.model.appending(path: "model.safetensors").path
    ).tensors()
    return tensors.names.sorted().flatMap { tensors[$0]?.elements ?? [] }
  }
}
