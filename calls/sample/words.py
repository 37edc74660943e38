"""The words that the sample's past is made of, in each language. Combined by chance; nobody real is meant."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """What contacts, companies, deals and notes are called. `{}` in a company's name is a family name.

    `areas` are the area codes of numbers that nobody has: `number` and `second_number` put one and a count into them.
    """

    language: str
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    companies: tuple[str, ...]
    deals: tuple[str, ...]
    stages: tuple[str, ...]  # from the first to the last
    notes: dict[str, tuple[str, ...]]  # by disposition
    areas: tuple[str, ...]
    number: str
    second_number: str
    counts: range  # of one area's numbers; the next nine are typed by hand
    minute_price: str


def names(listed: str) -> tuple[str, ...]:
    """Names that are written with spaces between them."""
    return tuple(listed.split())


PORTUGUESE = Words(
    language="pt-br",
    first_names=names(
        "Adriana Alice Amanda André Antônio Beatriz Bianca Caio Camila César Cláudia Daniel Débora "
        "Eduardo Érica Fabiana Felipe Fernanda Flávio Gabriela Gustavo Helena Heloísa Igor Isabel Ítalo "
        "Joana João José Júlia Larissa Leandro Letícia Lúcia Luís Márcia Mário Mônica Natália Otávio "
        "Patrícia Paulo Priscila Rafael Renata Sérgio Simone Sônia Tatiana Thiago Úrsula Vânia Vinícius "
        "Vitória"
    ),
    last_names=names(
        "Almeida Andrade Araújo Barbosa Barros Batista Borges Brandão Camargo Cardoso Carvalho Castro "
        "Conceição Corrêa Costa Cunha Esteves Farias Fonseca Freitas Gonçalves Guimarães Leão Macêdo "
        "Magalhães Marques Meireles Mendonça Monteiro Moraes Negrão Paixão Peçanha Pires Quintão Ramalho "
        "Rezende Salomão Sampaio Tavares Teixeira Vilaça Xavier Zanetti"
    ),
    companies=(
        "Padaria {}",
        "Construtora {}",
        "Clínica {}",
        "Hotel {}",
        "Escola {}",
        "Restaurante {}",
        "{} Advocacia",
        "{} & Filhos",
        "Farmácia {}",
        "Imobiliária {}",
        "{} Engenharia",
        "Academia {}",
        "Café {}",
        "Pousada {}",
        "Gráfica {}",
        "Transportes {}",
        "{} Contabilidade",
        "Laboratório {}",
        "Mercado {}",
        "Ateliê {}",
    ),
    deals=(
        "Mesas para o refeitório",
        "Cadeiras de escritório",
        "Reforma da recepção",
        "Armários sob medida",
        "Mobiliário da sala de reunião",
        "Camas e colchões",
        "Balcão de atendimento",
        "Estantes para a biblioteca",
        "Sofás da sala de espera",
        "Cozinha industrial",
        "Contrato anual de manutenção",
        "Segunda unidade completa",
    ),
    stages=("Novo", "Qualificado", "Proposta", "Negociação", "Ganho", "Perdido"),
    notes={
        "interested": (
            "Gostou da linha de escritório, quer orçamento com entrega incluída.",
            "Pediu catálogo por e-mail e vai mostrar ao sócio.",
            "Quer trocar as cadeiras ainda neste trimestre.",
            "Tem interesse, mas compara com mais dois fornecedores.",
            "Precisa de nota fiscal em nome da matriz. Enviar proposta.",
        ),
        "not_interested": (
            "Acabou de reformar, sem previsão de compra.",
            "Já tem fornecedor e está satisfeita.",
            "Achou o preço alto. Tentar de novo no próximo ano.",
        ),
        "call_back": (
            "Estava em reunião, pediu para ligar amanhã cedo.",
            "Ligar depois das 15h, quando a gerente volta.",
            "Decide na semana que vem; retornar na terça.",
            "Está viajando, retornar no começo do mês.",
        ),
        "meeting": (
            "Visita marcada para medir o espaço.",
            "Reunião on-line na quinta, com o arquiteto.",
            "Vem ao showroom no sábado de manhã.",
        ),
        "wrong_number": ("O número é de outra pessoa.", "Não trabalha mais lá, o número é do sucessor."),
        "voicemail": ("Deixei recado na caixa postal.", "Caixa postal, sem recado."),
        "no_answer": ("Chamou até cair.",),
        "do_not_call": ("Pediu para não receber mais ligações.",),
    },
    areas=("11", "19", "21", "27", "31", "41", "48", "51", "61", "71", "81", "85"),
    number="+55{}95550{:04d}",
    second_number="+55{}3555{:04d}",
    counts=range(300, 1000),
    minute_price="0.0680",
)
ENGLISH = Words(
    language="en",
    first_names=names(
        "Aaliyah Abigail Adam Alejandro Amara Andre Ángel Beatrice Benjamin Brianna Caleb Carmen Chloé "
        "Colin Daniela Darius Deborah Derek Elena Elijah Emma Ethan Fiona Gavin Grace Hannah Hector Imani "
        "Isaac Ivy Jamal Jasmine Joel Jordan José Kayla Keisha Kevin Laura Liam Lucía Marcus Maya Megan "
        "Nadia Noah Nora Oliver Paige Quentin Renée Rosa Samuel Sienna Tessa Trevor Victor Zoë"
    ),
    last_names=names(
        "Abbott Alvarez Baker Barnes Bennett Brooks Burke Calloway Castillo Chandler Cole Cruz Dalton "
        "Delgado Ellison Farrell Fletcher Franklin Garza Gibson Hale Harmon Hayes Hensley Ibáñez Jennings "
        "Keller Lambert Lawson Lowell Maddox Mercer Moreno Muñoz Nash Norris O'Neill Ortega Parrish "
        "Pierce Quinn Ramsey Reyes Rhodes Sawyer Sutton Thatcher Vance Whitaker Yates"
    ),
    companies=(
        "{} Bakery",
        "{} Construction",
        "{} Dental",
        "The {} Inn",
        "{} Academy",
        "{} Grill",
        "{} Law Group",
        "{} & Daughters",
        "{} Pharmacy",
        "{} Realty",
        "{} Engineering",
        "{} Fitness",
        "{} Coffee",
        "{} Marine",
        "{} Printing",
        "{} Freight",
        "{} Accounting",
        "{} Labs",
        "{} Market",
        "{} Hardware",
    ),
    deals=(
        "Dock lines and fenders",
        "Restock for the season",
        "Annual supply contract",
        "Warehouse shelving",
        "Safety gear for the crew",
        "Galley equipment",
        "Second location fit-out",
        "Cleaning supplies, monthly",
        "Packaging trial order",
        "Generators and spares",
        "Workwear with logo",
        "Paint and coatings",
    ),
    stages=("New", "Qualified", "Proposal", "Negotiation", "Won", "Lost"),
    notes={
        "interested": (
            "Likes the spring line, wants a quote with shipping included.",
            "Asked for the catalog by e-mail, will show it to her partner.",
            "Current supplier runs late; open to a trial order.",
            "Interested, but comparing with two others.",
            "Needs net-60 terms. Send a proposal.",
        ),
        "not_interested": (
            "Just renewed with somebody else for a year.",
            "Happy with the current supplier.",
            "Too expensive for now. Try again next year.",
        ),
        "call_back": (
            "In a meeting, call tomorrow morning.",
            "Call after 3 pm, when the manager is back.",
            "Decides next week; call on Tuesday.",
            "Traveling, try again at the start of the month.",
        ),
        "meeting": (
            "Site visit booked to take measurements.",
            "Video call on Thursday with their buyer.",
            "Coming to the showroom on Friday.",
        ),
        "wrong_number": ("This number is somebody else's.", "Left the company; the number is the successor's."),
        "voicemail": ("Left a message.", "Voicemail, no message left."),
        "no_answer": ("Rang out.",),
        "do_not_call": ("Asked not to be called any more.",),
    },
    areas=("206", "212", "303", "305", "312", "404", "415", "503", "512", "602", "615", "617", "702", "713"),
    number="+1{}555{:04d}",
    second_number="+1{}555{:04d}",
    counts=range(100, 191),  # 555-0100 to 555-0199 are kept for fiction
    minute_price="0.0140",
)


def words_of(region: str) -> Words:
    """Return the words of an organization of this country."""
    return PORTUGUESE if region.upper() == "BR" else ENGLISH
