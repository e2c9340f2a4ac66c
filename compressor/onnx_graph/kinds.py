"""What each operator of onnxruntime's CPU graphs computes in: integers, float products, other float, or nothing.

An operator outside these lists is unknown: nobody can say whether it multiplies in float. Those of the blocked layout
are listed as `operators.kind` names them, with `Nchwc` in front.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


INTEGER_KERNELS = _names(
    """
    QLinearConv QLinearConvTranspose QGemm QLinearMatMul ConvInteger MatMulInteger MatMulInteger16
    DynamicQuantizeMatMul MatMulIntegerToFloat QAttention DynamicQuantizeLSTM
    QOrderedAttention QOrderedLongformerAttention QOrderedMatMul
    """
)
"""Convolutions and matrix products of integers."""

INTEGER_ARITHMETIC = _names(
    """
    QLinearAdd QLinearMul QLinearAveragePool QLinearGlobalAveragePool QLinearLeakyRelu QLinearSigmoid QLinearSoftmax
    QLinearReduceMean QLinearConcat QLinearWhere MulInteger ReduceSumInteger QOrderedGelu QOrderedLayerNormalization
    """
)
"""What else takes and gives integers."""

FLOAT_CONVOLUTIONS = _names(
    """
    Conv FusedConv NhwcConv NhwcFusedConv NchwcConv ConvTranspose ConvTransposeWithDynamicPads DeformConv
    CausalConvWithState VarlenCausalConvWithState WordConvEmbedding
    """
)

RECURRENT = _names("LSTM GRU RNN AttnLSTM")

ATTENTION = _names(
    """
    Attention MultiHeadAttention GroupQueryAttention DecoderAttention DecoderMaskedMultiHeadAttention
    DecoderMaskedSelfAttention LongformerAttention PackedAttention PackedMultiHeadAttention PagedAttention
    SparseAttention SparsePagedAttention DynamicSparseAttention LinearAttention FlexAttention
    """
)

FLOAT_PRODUCTS = _names(
    """
    Gemm FusedGemm GemmFastGelu GemmFloat8 MatMul FusedMatMul FusedMatMulActivation TransposeMatMul MatMulPacked
    SparseToDenseMatMul MatMulNBits MatMulNBitsMlp MatMulNBitsQkv MatMulNBitsQLoRA MatMulBnb4 MatMulFpQ4
    MatMulBlockQuantizedFp4Weight MatMulBlockQuantizedFp8Weight Einsum MoE MoEPacked QMoE GatedRelativePositionBias
    LinearClassifier LinearRegressor SVMClassifier SVMRegressor CDist
    DFT STFT AffineGrid Det Inverse Rfft Irfft GatedDeltaNet
    """
) | RECURRENT | ATTENTION  # fmt: skip
"""Matrix products in float, and what is made of them."""

PRODUCTS = INTEGER_KERNELS | FLOAT_CONVOLUTIONS | FLOAT_PRODUCTS

FLOAT_ARITHMETIC = _names(
    """
    Abs Acos Acosh Add Asin Asinh Atan Atanh AveragePool NchwcAveragePool BatchNormalization BlackmanWindow
    Ceil Celu Clip Cos Cosh CumProd CumSum Div DynamicQuantizeLinear Elu Erf Exp Floor Gelu GlobalAveragePool
    NchwcGlobalAveragePool GlobalLpPool GridSample GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish
    Hardmax InstanceNormalization LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization LpPool
    Mean MeanVarianceNormalization MelWeightMatrix Mish Mod Mul Neg NegativeLogLikelihoodLoss PRelu Pow RMSNormalization
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceProd ReduceSum ReduceSumSquare Relu
    Resize RoiAlign RotaryEmbedding Round Selu Shrink Sigmoid Sign Sin Sinh Softmax SoftmaxCrossEntropyLoss Softplus
    Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh ThresholdedRelu Upsample NchwcUpsample Bernoulli Multinomial
    RandomNormal RandomNormalLike RandomUniform RandomUniformLike Col2Im ImageDecoder
    BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu CropAndResize DequantizeBFP EmbedLayerNormalization FastGelu
    GemmaRotaryEmbedding GroupNorm QEmbedLayerNormalization QuantizeBFP QuickGelu RelativePositionBias ScaledSiLU
    SimplifiedLayerNormalization SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization
    ComplexMul ComplexMulConj MRotaryEmbedding GatedAdd GatedRMSNorm RMSNormRotary
    Binarizer Imputer Normalizer Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor
    """
)
"""Float, element by element or as sums: no products of matrices."""

HARMLESS = _names(
    """
    And ArgMax ArgMin BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike CenterCropPad Compress
    Concat ConcatFromSequence Constant ConstantOfShape DepthToSpace DequantizeLinear Dropout Equal Expand EyeLike
    Flatten Gather GatherElements GatherND GlobalMaxPool NchwcGlobalMaxPool Greater GreaterOrEqual Identity IsInf IsNaN
    Less LessOrEqual Max MaxPool NchwcMaxPool NhwcMaxPool MaxpoolWithMask MaxRoiPool MaxUnpool Min NonMaxSuppression
    NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or Pad QuantizeLinear Range ReduceMax ReduceMin
    RegexFullMatch Reshape ReverseSequence Scatter ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty
    SequenceErase SequenceInsert SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze StringConcat
    StringNormalizer StringSplit TensorScatter TfIdfVectorizer Tile TopK Transpose Trilu Unique Unsqueeze Where Xor
    If Loop Scan SequenceMap
    ReorderInput ReorderOutput ExpandDims GatherPacked UnfoldTensor DequantizeWithOrder QuantizeWithOrder
    RemovePadding RestorePadding BitmaskDropout IsAllFinite Tokenizer MurmurHash3
    ArrayFeatureExtractor CastMap CategoryMapper DictVectorizer FeatureVectorizer LabelEncoder OneHotEncoder ZipMap
    """
)
"""Moves, selects, compares and reshapes values, or only rounds them; bodies of branches and loops are looked into."""

DRAWS = _names("RandomNormal RandomNormalLike RandomUniform RandomUniformLike Multinomial Bernoulli")
"""Random numbers, otherwise at every run."""

LISTED = INTEGER_KERNELS | INTEGER_ARITHMETIC | FLOAT_CONVOLUTIONS | FLOAT_PRODUCTS | FLOAT_ARITHMETIC | HARMLESS
