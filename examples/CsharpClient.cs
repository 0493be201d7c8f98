// A dermedge model file in C#, by the contract's table. Not compiled by dermedge's tests: no .NET there.
//
//     dotnet new console -o CsharpClient && cd CsharpClient
//     dotnet add package Microsoft.ML.OnnxRuntime
//     dotnet add package SixLabors.ImageSharp
//     (put this file in the place of Program.cs)
//     dotnet run -- MODEL.onnx PICTURE [age=55] [sex=female] [site=back]
//
// Prints all outputs. Fields that are left out are unknown. The model must have been exported with --any-size: then its
// graph resizes the picture as in training. Set ORT_DISABLE_TELEMETRY=1 before the process starts.

using System.Text.Json;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

using var session = new InferenceSession(args[0]);
using var spec = JsonDocument.Parse(session.ModelMetadata.CustomMetadataMap["dermedge"]);
var root = spec.RootElement;
if (!root.GetProperty("image").TryGetProperty("any_size", out _))
    throw new ArgumentException($"{args[0]} does not resize pictures. Export it with --any-size.");

var given = args.Skip(2).Select(value => value.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);
var clinical = root.GetProperty("clinical");
var fields = clinical.GetProperty("numeric").EnumerateArray()
    .Concat(clinical.GetProperty("categorical").EnumerateArray())
    .Select(field => field.GetProperty("name").GetString()!).ToHashSet();
if (given.Keys.FirstOrDefault(name => !fields.Contains(name)) is { } foreign)
    throw new ArgumentException($"The model has no field {foreign}.");
var numbers = clinical.GetProperty("numeric").EnumerateArray()
    .Select(field => given.TryGetValue(field.GetProperty("name").GetString()!, out var value)
        ? float.Parse(value, System.Globalization.CultureInfo.InvariantCulture)
        : float.NaN) // unknown
    .ToArray();
var words = clinical.GetProperty("categorical").EnumerateArray()
    .Select(field => given.TryGetValue(field.GetProperty("name").GetString()!, out var value)
        ? IndexOf(Texts(field.GetProperty("vocabulary")), value)
        : -1) // unknown
    .ToArray();

var (pixels, height, width) = ReadPicture(args[1]);
var feed = new List<NamedOnnxValue>
{
    NamedOnnxValue.CreateFromTensor("image", new DenseTensor<byte>(pixels, new[] { 1, height, width, 3 })),
    NamedOnnxValue.CreateFromTensor("numeric", new DenseTensor<float>(numbers, new[] { 1, numbers.Length })),
    NamedOnnxValue.CreateFromTensor("categorical", new DenseTensor<int>(words, new[] { 1, words.Length })),
    NamedOnnxValue.CreateFromTensor("target", new DenseTensor<int>(new[] { -1 }, new[] { 1 })), // the predicted class
};
// A model without clinical fields, or exported without explanations, lacks some inputs.
feed.RemoveAll(value => !session.InputMetadata.ContainsKey(value.Name));

using var outputs = session.Run(feed);
var classes = Texts(root.GetProperty("classes"));
var features = Texts(root.GetProperty("features"));
foreach (var output in outputs)
{
    var values = output.AsEnumerable<float>().ToArray();
    for (var i = 0; i < values.Length; i++)
    {
        var name = output.Name switch
        {
            "probabilities" => classes[i],
            "relevance" or "attribution" => features[i],
            _ => $"{i}", // a cell of the heat map; a score has one value
        };
        Console.WriteLine(FormattableString.Invariant($"{output.Name}\t{name}\t{values[i]}"));
    }
}

static List<string> Texts(JsonElement list) => list.EnumerateArray().Select(entry => entry.GetString()!).ToList();

static int IndexOf(List<string> vocabulary, string word) => vocabulary.Contains(word)
    ? vocabulary.IndexOf(word)
    : throw new ArgumentException($"'{word}' is none of {string.Join(", ", vocabulary)}.");

// Upright RGB, rows from the top, pixels from the left, three bytes per pixel; transparency on white.
static (byte[] Pixels, int Height, int Width) ReadPicture(string path)
{
    using var picture = Image.Load<Rgba32>(path);
    picture.Mutate(steps => steps.AutoOrient().BackgroundColor(Color.White));
    using var rgb = picture.CloneAs<Rgb24>();
    var pixels = new byte[3 * rgb.Width * rgb.Height];
    rgb.CopyPixelDataTo(pixels);
    return (pixels, rgb.Height, rgb.Width);
}
