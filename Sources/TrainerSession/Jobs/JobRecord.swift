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
  /// The first record the owner wants to hear of, while it follows.
  var follows = false
  var step = 0
  /// Loaded while the owner retrieves.
  var result: WeightRetrieval<Element>?

  var id: JobID { stored.id }
  var isAutonomous: Bool { stored.description.purpose == .training && stored.description.lossLocation == .trainer }
  /// Whether it could run now.
  var isRunnable: Bool { stored.phase == .ready && (isAutonomous || attachedHistory != nil) }
}
