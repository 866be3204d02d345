import Architecture
import Tensors
import Transport
import Wire

/// A job as the service thread knows it.
struct JobRecord<Element: FloatingElement> {
  var stored: StoredJob
  /// The connection on which its owner uploads, trains or follows: where a runner's messages go. Questions that come over
  /// another one of the same owner (`status`, `cancel`) are answered there and change nothing here.
  var peer: PeerID
  /// The most that it may come to hold on disk; nil until it is asked for.
  var diskNeeded: Int?
  var upload: ParameterUpload<Element>?
  var data: UploadedData<Element>?
  /// Steps of history the owner holds; set while it is attached and waits for its turn or trains.
  var attachedHistory: Int?
  /// Whether the owner wants to hear of the history as it is made.
  var follows = false
  var step = 0
  /// Who asked to cancel it while it ran; it is removed once the runner has ended.
  var canceller: PeerID?
  /// This process's CPU seconds when the job was last started, and what it took in all before that.
  var startedAt: Double?
  var processorSeconds = 0.0
  /// The connection on which its owner last submitted it or came back to it.
  var submitter: PeerID?
  /// The connection that fetches the result.
  var retriever: PeerID?
  /// Loaded while the owner retrieves.
  var result: WeightRetrieval<Element>?

  var id: JobID { stored.id }
  var isAutonomous: Bool { stored.description.purpose == .training && stored.description.lossLocation == .trainer }
  /// Whether it could run now.
  var isRunnable: Bool { stored.phase == .ready && (isAutonomous || attachedHistory != nil) }
}
