import Tensors
import Training
import Wire

/// Every sample of a job, masked on the way out: what both ways of training and the upload draw from.
///
/// `pass` numbers the epoch. A sample of rows is the same in every pass; the tokens of a sequence come in an order of their own
/// in each, which labels of tokens follow.
protocol MaskedSamples<Element> {
  associatedtype Element: FloatingElement

  /// A new conversation with the trainer: it keeps rows with slots below `residentRows` once they are sent, and has none yet.
  mutating func beginConversation(residentRows: Int)

  /// Bytes of a delivery that plain float32 samples would not have.
  func bytesAdded(_ delivery: RowDelivery<Element>) -> Int

  /// Packs samples for one message. Called in the order of sending: a row that the trainer keeps is not carried again.
  mutating func delivery(of slots: ArraySlice<Int32>, pass: Int) throws -> RowDelivery<Element>

  /// The targets of the outputs of `slots`, in the order those come in.
  func targets(of slots: ArraySlice<Int32>, pass: Int) throws -> Targets<Element>

  /// What the mean of a loss over `slots` is taken over.
  func observedCount(of slots: ArraySlice<Int32>) throws -> Int

  /// Rows of outputs that `slots` have.
  func outputRows(of slots: ArraySlice<Int32>) throws -> Int

  /// Samples a message of an upload.
  var samplesPerChunk: Int { get }

  /// Uploads `slots` for a loss at the trainer.
  func uploadMessage(_ slots: Range<Int>) throws -> (message: OwnerMessage<Element>, addedBytes: Int)
}
