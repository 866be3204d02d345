import Architecture
import Tensors
import Transport
import Wire

/// A job as the service thread knows it.
struct JobRecord<Element: FloatingElement> {
  var stored: StoredJob
  /// The connection its owner last spoke on.
  var peer: PeerID
  var upload: ParameterUpload<Element>?
  var data: UploadedData<Element>?
  /// Steps of history the owner holds; set while it is attached and waits for its turn or trains.
  var attachedHistory: Int?
  /// This side gave the conversation up because a message was lost or the owner fell silent; an owner that still believes in it is
  /// told to attach again.
  var isCutOff = false
  /// Whether the owner wants to hear of the history as it is made.
  var follows = false
  var step = 0
  /// This process's CPU seconds when the job was last started, and what it took in all before that.
  var startedAt: Double?
  var processorSeconds = 0.0
  /// Loaded while the owner retrieves.
  var result: WeightRetrieval<Element>?

  var id: JobID { stored.id }
  var isAutonomous: Bool { stored.description.purpose == .training && stored.description.lossLocation == .trainer }
  /// Whether it could run now.
  var isRunnable: Bool { stored.phase == .ready && (isAutonomous || attachedHistory != nil) }
}
