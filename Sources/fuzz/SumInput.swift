import Cryptography
import Foundation
import SecureSums

/// Input bytes as a machine's state and a message to it, cut like the frames of `FrameInput`: with a state of its own, whose signatures fit, a
/// message is read to its end.
enum SumInput {
  private static let sites = 2

  /// Keys of fixed secrets, so that inputs fit from run to run: the sites', then the aggregator's.
  private static func keys() throws -> [KeyAgreement] {
    try (1...sites + 1).map { number in
      try [UInt8](repeating: UInt8(number), count: 32).withUnsafeBytes { try KeyAgreement(secret: $0) }
    }
  }

  private static func roster(_ keys: [KeyAgreement]) throws -> SumRoster {
    try SumRoster(
      charterDigest: SHA256.hash("charter".utf8).bytes,
      sites: keys.dropLast().enumerated().map { SumRoster.Site(name: "site \($0 + 1)", publicKey: $1.publicKey) },
      aggregatorKey: keys[sites].publicKey, threshold: 2, minimum: 2)
  }

  static func run(_ input: Data) {
    let frames = FrameInput.frames(of: input)
    guard frames.count == 2, let keys = try? keys(), let roster = try? roster(keys) else { return }
    let message = Array(frames[1])
    Array(frames[0]).withUnsafeBytes { state in
      if let party = try? SumParty(restoring: state, roster: roster, site: 1, key: keys[0], persist: { _ in }) {
        _ = try? party.answer(to: message)
        _ = (party.keysLeft, party.hasGiven)
      }
      if let coordinator = try? SumCoordinator(
        restoring: state, roster: roster, key: keys[sites], persist: { _ in })
      {
        try? coordinator.receive(message, from: 1)
        try? [UInt64](repeating: 0, count: 2).withUnsafeBufferPointer {
          try coordinator.receive(upload: message, vector: $0, from: 1)
        }
        for site in 1...sites { _ = try? coordinator.messageDue(to: site) }
        _ = (coordinator.waitingFor, coordinator.keysLeft, coordinator.setUpSites)
        _ = try? coordinator.result()
      }
    }
  }

  /// Every message of a set-up and a sum, with the state that it came upon.
  static func seeds() throws -> [Data] {
    let keys = try keys()
    let roster = try roster(keys)
    var seeds: [Data] = []
    var states = [Data](repeating: Data(), count: sites + 1)
    func keep(_ place: Int) -> (UnsafeRawBufferPointer) -> Void { { states[place] = Data($0) } }
    let parties = try (0..<sites).map { try SumParty(roster: roster, site: $0 + 1, key: keys[$0], persist: keep($0)) }
    let coordinator = try SumCoordinator(roster: roster, key: keys[sites], persist: keep(sites))
    let kind = VectorFormat.Kind.integer(bound: 100)
    let format = try VectorFormat(blocks: [.init(name: "rows", count: 2, kind: kind)], sites: sites)
    let model = SHA256.hash("model".utf8).bytes

    func exchange(until stage: SumCoordinator.Stage) throws {
      while coordinator.stage != stage {
        for site in 1...sites {
          guard let message = try coordinator.messageDue(to: site) else { continue }
          if site == 1 { seeds.append(FrameInput.input(of: [states[0], Data(message)])) }
          switch try parties[site - 1].answer(to: message) {
          case .nothing: continue
          case .reply(let reply):
            if site == 1 { seeds.append(FrameInput.input(of: [states[sites], Data(reply)])) }
            try coordinator.receive(reply, from: site)
          case .upload(let request):
            var vector = format.vector()
            let header = try parties[site - 1].upload(
              for: request, modelHash: model, format: format, masking: &vector)
            if site == 1 { seeds.append(FrameInput.input(of: [states[sites], Data(header)])) }
            try vector.withUnsafeBufferPointer { try coordinator.receive(upload: header, vector: $0, from: site) }
          }
        }
      }
    }
    try coordinator.openSetUp(sums: 1)
    try exchange(until: .idle)
    _ = try coordinator.begin(purpose: "rows", modelHash: model, cohort: [1, 2], format: format)
    try exchange(until: .unmaskable)
    return seeds
  }
}
