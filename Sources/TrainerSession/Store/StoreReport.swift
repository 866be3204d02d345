/// What a store's plain files tell, for `trainer status`; its JSON form is stable.
package struct StoreReport: Codable, Sendable, Equatable {
  package struct LiveTrainer: Codable, Sendable, Equatable {
    package var host: String
    package var pid: Int32
    /// Empty when it only connects to owners, or has not begun to listen.
    package var endpoints: [String]
    package var connecting: [String]
    package var started: String?
    package var publicKey: String?
    /// Since it was last heard of, by this machine's clock.
    package var heardSecondsAgo: Double
  }

  package struct Checkpoint: Codable, Sendable, Equatable {
    package var step: Int
    /// ISO 8601.
    package var time: String
    package var bytes: Int
  }

  package struct Job: Codable, Sendable, Equatable {
    package var job: String
    /// `writing`: its description is not there yet; `unreadable`: it is, and is none of this version.
    package var state: State
    /// The first characters of its owner's key.
    package var owner: String?
    package var step: Int
    package var totalSteps: Int?
    package var checkpoint: Checkpoint?
    package var memoryBytes: Int?
    package var storedBytes: Int
    package var failure: String?
  }

  package enum State: String, Codable, Sendable {
    case writing, unreadable, uploading, ready, running, finished, failed
  }

  package var store: String
  package var format: Int
  /// Nil when none is alive.
  package var trainer: LiveTrainer?
  package var jobs: [Job]
}
